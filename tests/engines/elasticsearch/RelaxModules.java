import java.lang.classfile.ClassFile;
import java.lang.classfile.ClassModel;
import java.lang.classfile.attribute.ModuleAttribute;
import java.lang.module.ModuleFinder;
import java.net.URI;
import java.nio.file.FileSystem;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/**
 * A trimmed Java run-time lacks a few "jdk." modules that some of the server's modules name in "requires"
 * without needing them to run. Takes those lines out of the module descriptors of the given jars, in place.
 * Arguments: jars. Needs Java 24 or newer.
 */
public final class RelaxModules {
    public static void main(String[] args) throws Exception {
        for (String jar : args) {
            try (FileSystem files = FileSystems.newFileSystem(URI.create("jar:" + Path.of(jar).toUri()), Map.of())) {
                Path descriptor = files.getPath("/module-info.class");
                if (Files.exists(descriptor)) {
                    relax(jar, descriptor);
                }
            }
        }
    }

    private static void relax(String jar, Path descriptor) throws Exception {
        ClassFile format = ClassFile.of();
        ClassModel model = format.parse(Files.readAllBytes(descriptor));
        List<String> missing = model.findAttribute(java.lang.classfile.Attributes.module()).stream()
            .flatMap(module -> module.requires().stream())
            .map(required -> required.requires().name().stringValue())
            .filter(name -> name.startsWith("jdk.") && ModuleFinder.ofSystem().find(name).isEmpty())
            .toList();
        if (missing.isEmpty()) {
            return;
        }
        byte[] relaxed = format.transformClass(model, (builder, element) -> {
            if (element instanceof ModuleAttribute module) {
                builder.with(ModuleAttribute.of(module.moduleName(), out -> {
                    out.moduleFlags(module.moduleFlagsMask());
                    module.moduleVersion().ifPresent(version -> out.moduleVersion(version.stringValue()));
                    module.requires().stream()
                        .filter(required -> !missing.contains(required.requires().name().stringValue()))
                        .forEach(out::requires);
                    module.exports().forEach(out::exports);
                    module.opens().forEach(out::opens);
                    module.uses().forEach(used -> out.uses(used.asSymbol()));
                    module.provides().forEach(out::provides);
                }));
            } else {
                builder.with(element);
            }
        });
        Files.write(descriptor, relaxed);
        System.err.println(Path.of(jar).getFileName() + ": no longer requires " + String.join(", ", missing));
    }
}

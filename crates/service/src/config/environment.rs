use std::path::Path;

/// What a configuration may ask of the world around it. Passed in, so that nothing is read behind
/// the caller's back and tests need neither disk nor processes.
pub trait Environment {
    /// The value of an environment variable; `None` if it is not set.
    ///
    /// # Behaviour
    /// Called once for each place that names the variable. A value that is not UTF-8 counts as not
    /// set.
    fn variable(&self, name: &str) -> Option<String>;

    /// The text of a file that holds one secret.
    ///
    /// # Behaviour
    /// Line ends at the end are removed by the caller. Relative paths belong to the working
    /// directory. An error is a sentence for the user, without the path.
    fn read_file(&self, path: &Path) -> Result<String, String>;

    /// What a command prints, such as `pass show elasticsearch`.
    ///
    /// # Behaviour
    /// May block for as long as the command runs, which may ask the user something. Line ends at
    /// the end are removed by the caller. An error is a sentence for the user, without the command
    /// and without what it printed.
    fn run_command(&self, command: &str) -> Result<String, String>;
}

/// The real environment of this process: its variables, the disk, and commands run by the shell
/// (`sh -c`; `cmd /C` on Windows) with its standard input and error output.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEnvironment;

impl Environment for SystemEnvironment {
    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn read_file(&self, path: &Path) -> Result<String, String> {
        std::fs::read_to_string(path).map_err(|error| error.to_string())
    }

    fn run_command(&self, command: &str) -> Result<String, String> {
        let (shell, flag) = if cfg!(windows) {
            ("cmd", "/C")
        } else {
            ("sh", "-c")
        };
        let output = std::process::Command::new(shell)
            .args([flag, command])
            .stdin(std::process::Stdio::inherit())
            .stderr(std::process::Stdio::inherit())
            .output()
            .map_err(|error| error.to_string())?;
        if !output.status.success() {
            return Err(format!("it failed ({})", output.status));
        }
        String::from_utf8(output.stdout)
            .map_err(|_| "it printed bytes that are not UTF-8".to_owned())
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn runs_commands_and_reads_files() {
        let system = SystemEnvironment;
        assert_eq!(system.run_command("printf 'a b'").unwrap(), "a b");
        assert!(system.run_command("exit 3").unwrap_err().contains('3'));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::fs::write(&path, "word\n").unwrap();
        assert_eq!(system.read_file(&path).unwrap(), "word\n");
        assert!(system.read_file(&folder.path().join("none")).is_err());
        assert_eq!(system.variable("NO SUCH NAME"), None);
    }
}

//! The words for states and kinds, and which state may follow which.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::properties::Word;

/// An enum of the protocol's words, with its spelling in the records.
macro_rules! words {
    ($(#[$outer:meta])* $name:ident { $($(#[$inner:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$outer])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name {
            $($(#[$inner])* $variant),+
        }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word in the records.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word),+
                }
            }
        }

        impl Word for $name {
            const WORDS: &'static [&'static str] = &[$($word),+];

            fn from_word(word: &str) -> Option<Self> {
                match word {
                    $($word => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.pad(self.as_str())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let word = String::deserialize(deserializer)?;
                Self::from_word(&word)
                    .ok_or_else(|| de::Error::unknown_variant(&word, <Self as Word>::WORDS))
            }
        }
    };
}
pub(crate) use words;

words! {
    /// The state of a connector.
    ConnectorStatus {
        /// Made, but no service has seen it.
        Created = "created",
        /// A service has written the configuration form; values are missing.
        NeedsConfiguration = "needs_configuration",
        /// Values are there, but the data source has not been reached.
        Configured = "configured",
        /// The data source was reached.
        Connected = "connected",
        /// The last attempt failed.
        Error = "error",
    }
}

words! {
    /// The state of a sync job.
    JobStatus {
        /// Waits for a service.
        Pending = "pending",
        /// Runs.
        InProgress = "in_progress",
        /// Runs, and a user asked to stop it.
        Canceling = "canceling",
        /// Was stopped on a user's request.
        Canceled = "canceled",
        /// Was interrupted by the end of the service; goes on later.
        Suspended = "suspended",
        /// Ended well.
        Completed = "completed",
        /// Failed.
        Error = "error",
    }
}

words! {
    /// What a sync job does.
    JobType {
        /// All documents.
        Full = "full",
        /// What changed.
        Incremental = "incremental",
        /// The identities, for document-level security.
        AccessControl = "access_control",
    }
}

words! {
    /// Why a sync job exists.
    TriggerMethod {
        /// A user asked for it.
        OnDemand = "on_demand",
        /// Its time had come.
        Scheduled = "scheduled",
    }
}

words! {
    /// What is known about sync rules.
    ValidationState {
        /// Changed, not checked yet.
        Edited = "edited",
        /// Checked, with problems.
        Invalid = "invalid",
        /// Checked, without problems.
        Valid = "valid",
    }
}

/// A change of state that the protocol does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a {record} cannot go from '{from}' to '{to}'")]
pub struct IllegalTransition {
    /// `connector` or `sync job`.
    pub record: &'static str,
    /// The state it is in.
    pub from: &'static str,
    /// The state that was asked for.
    pub to: &'static str,
}

impl ConnectorStatus {
    /// Whether the protocol allows this change.
    pub fn can_become(self, next: Self) -> bool {
        use ConnectorStatus::*;
        match self {
            Created => matches!(next, NeedsConfiguration | Error),
            NeedsConfiguration => matches!(next, Configured | Error),
            Configured => matches!(next, NeedsConfiguration | Configured | Connected | Error),
            Connected | Error => matches!(next, Connected | Configured | Error),
        }
    }

    /// The next state, if the protocol allows the change.
    pub fn transition(self, next: Self) -> Result<Self, IllegalTransition> {
        match self.can_become(next) {
            true => Ok(next),
            false => Err(IllegalTransition {
                record: "connector",
                from: self.as_str(),
                to: next.as_str(),
            }),
        }
    }

    /// Whether a connector in this state may sync at all: not before it has a configuration.
    pub fn is_gate_open(self) -> bool {
        !matches!(self, Self::Created | Self::NeedsConfiguration)
    }
}

impl JobStatus {
    /// Whether the protocol allows this change.
    pub fn can_become(self, next: Self) -> bool {
        use JobStatus::*;
        match self {
            Pending | Suspended => matches!(next, InProgress | Canceled),
            InProgress => matches!(next, Canceling | Completed | Suspended | Error),
            Canceling => matches!(next, Canceled | Error),
            Completed | Canceled | Error => false,
        }
    }

    /// The next state, if the protocol allows the change.
    pub fn transition(self, next: Self) -> Result<Self, IllegalTransition> {
        match self.can_become(next) {
            true => Ok(next),
            false => Err(IllegalTransition {
                record: "sync job",
                from: self.as_str(),
                to: next.as_str(),
            }),
        }
    }

    /// No state follows.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Canceled | Self::Error)
    }

    /// A service works, or should be working, on the job.
    pub fn is_active(self) -> bool {
        matches!(self, Self::InProgress | Self::Canceling)
    }

    /// The job waits for a service to claim it.
    pub fn is_waiting(self) -> bool {
        matches!(self, Self::Pending | Self::Suspended)
    }
}

impl JobType {
    /// Whether the job writes documents, not identities.
    pub fn is_content(self) -> bool {
        self != Self::AccessControl
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All allowed changes, written out: `from: to to …`.
    fn check<S: Copy + fmt::Display>(all: &[S], can_become: fn(S, S) -> bool, expected: &str) {
        let mut table = String::new();
        for from in all {
            let next: Vec<String> = all
                .iter()
                .filter(|to| can_become(*from, **to))
                .map(ToString::to_string)
                .collect();
            table += &format!("{from}: {}\n", next.join(" "));
        }
        assert_eq!(table.trim(), expected.trim());
    }

    #[test]
    fn connector_states_follow_the_protocol() {
        check(
            ConnectorStatus::ALL,
            ConnectorStatus::can_become,
            "created: needs_configuration error\n\
             needs_configuration: configured error\n\
             configured: needs_configuration configured connected error\n\
             connected: configured connected error\n\
             error: configured connected error",
        );
    }

    #[test]
    fn job_states_follow_the_protocol() {
        check(
            JobStatus::ALL,
            JobStatus::can_become,
            "pending: in_progress canceled\n\
             in_progress: canceling suspended completed error\n\
             canceling: canceled error\n\
             canceled: \n\
             suspended: in_progress canceled\n\
             completed: \n\
             error: ",
        );
        for status in JobStatus::ALL {
            let has_next = JobStatus::ALL.iter().any(|next| status.can_become(*next));
            assert_eq!(status.is_final(), !has_next);
            let kinds = [status.is_final(), status.is_active(), status.is_waiting()];
            assert_eq!(kinds.iter().filter(|kind| **kind).count(), 1, "{status}");
        }
    }

    #[test]
    fn a_refused_change_says_what_was_asked() {
        let refused = JobStatus::Completed
            .transition(JobStatus::InProgress)
            .unwrap_err();
        assert_eq!(
            refused.to_string(),
            "a sync job cannot go from 'completed' to 'in_progress'"
        );
        assert_eq!(
            ConnectorStatus::Configured.transition(ConnectorStatus::Connected),
            Ok(ConnectorStatus::Connected)
        );
    }

    #[test]
    fn words_are_read_and_written() {
        for job_type in JobType::ALL {
            let json = serde_json::to_value(job_type).unwrap();
            assert_eq!(json, job_type.as_str());
            assert_eq!(serde_json::from_value::<JobType>(json).unwrap(), *job_type);
        }
        assert!(serde_json::from_value::<JobType>("partial".into()).is_err());
        assert_eq!(format!("{:>12}", TriggerMethod::Scheduled), "   scheduled");
    }
}

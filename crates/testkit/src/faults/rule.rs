//! Which requests fail, and how.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// What a rule is asked about.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The method in capitals.
    pub method: &'a str,
    /// Path and query as sent.
    pub target: &'a str,
    /// Headers as sent, secrets included.
    pub headers: &'a [(String, String)],
}

/// An answer made by the proxy.
#[derive(Debug, Clone)]
pub struct CannedAnswer {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl CannedAnswer {
    /// An empty answer with a status.
    pub fn status(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// Adds a header (`retry-after`, for example).
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets a JSON body and its content type.
    #[must_use]
    pub fn json(self, body: &serde_json::Value) -> Self {
        self.header("content-type", "application/json")
            .body(body.to_string())
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }
}

/// A whole answer of the real server, to be changed.
#[derive(Debug)]
pub struct RealAnswer {
    /// Status.
    pub status: u16,
    /// Headers; the length is set afterwards.
    pub headers: Vec<(String, String)>,
    /// Body without transfer encoding. The request asks for no compression.
    pub body: Vec<u8>,
}

type Change = Arc<dyn Fn(&mut RealAnswer) + Send + Sync>;

/// What happens to a request.
#[derive(Clone)]
pub enum Fault {
    /// Nothing (useful with a delay, and to name or count requests).
    Forward,
    /// The proxy answers; the server never sees the request. Its body is read to the end first.
    Answer(CannedAnswer),
    /// The proxy answers at once and closes the connection without having read the request's body.
    AnswerUnread(CannedAnswer),
    /// The connection is closed before the server has seen anything.
    DropRequest,
    /// The server sees the first bytes of the body, then both connections are closed.
    CutRequest {
        /// Bytes of the body that reach the server.
        after: u64,
    },
    /// The server carries the request out; its answer is read to the end and the connection closed instead:
    /// done but not said.
    LoseAnswer,
    /// The head and the first bytes of the body arrive, then the connection is closed.
    CutAnswer {
        /// Bytes of the body that reach the client.
        after: u64,
    },
    /// The answer arrives in full length with `#` for each byte of its body.
    GarbleAnswer,
    /// The body of the answer arrives in small pieces.
    DripAnswer {
        /// Bytes in a piece.
        bytes: usize,
        /// Time between two pieces.
        every: Duration,
    },
    /// The answer is read whole (up to 64 MiB) and changed: single items of a bulk answer, for example.
    ChangeAnswer(Change),
    /// Neither forwarded nor answered, until the rules change or the client goes away.
    Hang,
}

impl Fault {
    /// [`Fault::Answer`] with a status alone.
    pub fn status(status: u16) -> Self {
        Self::Answer(CannedAnswer::status(status))
    }

    /// [`Fault::ChangeAnswer`].
    pub fn change(change: impl Fn(&mut RealAnswer) + Send + Sync + 'static) -> Self {
        Self::ChangeAnswer(Arc::new(change))
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forward => formatter.write_str("Forward"),
            Self::Answer(answer) => write!(formatter, "Answer({})", answer.status),
            Self::AnswerUnread(answer) => write!(formatter, "AnswerUnread({})", answer.status),
            Self::DropRequest => formatter.write_str("DropRequest"),
            Self::CutRequest { after } => write!(formatter, "CutRequest({after})"),
            Self::LoseAnswer => formatter.write_str("LoseAnswer"),
            Self::CutAnswer { after } => write!(formatter, "CutAnswer({after})"),
            Self::GarbleAnswer => formatter.write_str("GarbleAnswer"),
            Self::DripAnswer { bytes, every } => {
                write!(formatter, "DripAnswer({bytes}, {every:?})")
            }
            Self::ChangeAnswer(_) => formatter.write_str("ChangeAnswer"),
            Self::Hang => formatter.write_str("Hang"),
        }
    }
}

type Condition = Arc<dyn Fn(Request<'_>) -> bool + Send + Sync>;

/// One line of the script: which requests, which of them in turn, and what happens to those.
///
/// A rule without conditions matches every request. Matching requests are counted by each rule for itself, from the
/// moment the rule was given to the proxy.
#[derive(Clone)]
pub struct Rule {
    pub(super) name: String,
    method: Option<String>,
    path_parts: Vec<String>,
    conditions: Vec<Condition>,
    skip: u64,
    times: u64,
    every: u64,
    pub(super) delay: Duration,
    pub(super) fault: Fault,
}

impl Rule {
    /// A rule for all requests. The name is what the records show.
    pub fn new(name: &str, fault: Fault) -> Self {
        Self {
            name: name.to_owned(),
            method: None,
            path_parts: Vec::new(),
            conditions: Vec::new(),
            skip: 0,
            times: u64::MAX,
            every: 1,
            delay: Duration::ZERO,
            fault,
        }
    }

    /// Only requests of this method.
    #[must_use]
    pub fn method(mut self, method: &str) -> Self {
        self.method = Some(method.to_ascii_uppercase());
        self
    }

    /// Only requests whose path and query contain this text. Several calls: all of them.
    #[must_use]
    pub fn path_contains(mut self, part: &str) -> Self {
        self.path_parts.push(part.to_owned());
        self
    }

    /// Only requests for which this answers true. Several calls: all of them.
    #[must_use]
    pub fn when(mut self, condition: impl Fn(Request<'_>) -> bool + Send + Sync + 'static) -> Self {
        self.conditions.push(Arc::new(condition));
        self
    }

    /// Lets the first `count` matching requests pass.
    #[must_use]
    pub fn after(mut self, count: u64) -> Self {
        self.skip = count;
        self
    }

    /// Only the `n`th matching request, counted from 1.
    #[must_use]
    pub fn nth(self, n: u64) -> Self {
        self.after(n.saturating_sub(1)).times(1)
    }

    /// Fails that many matching requests, then none any more.
    #[must_use]
    pub fn times(mut self, count: u64) -> Self {
        self.times = count;
        self
    }

    /// Of the matching requests only each `n`th: the first, the one `n` later and so on.
    #[must_use]
    pub fn every(mut self, n: u64) -> Self {
        self.every = n.max(1);
        self
    }

    /// Waits before anything else happens to the request.
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    fn matches(&self, request: Request<'_>) -> bool {
        self.method
            .as_deref()
            .is_none_or(|method| method == request.method)
            && self
                .path_parts
                .iter()
                .all(|part| request.target.contains(part))
            && self.conditions.iter().all(|condition| condition(request))
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Rule({:?}: {:?})", self.name, self.fault)
    }
}

/// The rules in force with their counts.
#[derive(Debug, Default)]
pub(super) struct Script {
    rules: Vec<Counted>,
}

#[derive(Debug)]
struct Counted {
    rule: Rule,
    matched: u64,
    fired: u64,
}

impl Script {
    pub(super) fn set(&mut self, rules: Vec<Rule>) {
        self.rules.clear();
        self.add(rules);
    }

    pub(super) fn add(&mut self, rules: Vec<Rule>) {
        self.rules.extend(rules.into_iter().map(|rule| Counted {
            rule,
            matched: 0,
            fired: 0,
        }));
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.rules.retain(|counted| counted.rule.name != name);
    }

    /// The first rule whose turn it is. Every rule that matches counts the request, also those behind it.
    pub(super) fn decide(&mut self, request: Request<'_>) -> Option<Rule> {
        let mut decided = None;
        for counted in &mut self.rules {
            if !counted.rule.matches(request) {
                continue;
            }
            let turn = counted.matched;
            counted.matched += 1;
            let is_turn = turn >= counted.rule.skip
                && (turn - counted.rule.skip).is_multiple_of(counted.rule.every)
                && counted.fired < counted.rule.times;
            if is_turn && decided.is_none() {
                counted.fired += 1;
                decided = Some(counted.rule.clone());
            }
        }
        decided
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fired(rule: Rule, requests: &[(&str, &str)]) -> Vec<bool> {
        let mut script = Script::default();
        script.set(vec![rule]);
        requests
            .iter()
            .map(|&(method, target)| {
                script
                    .decide(Request {
                        method,
                        target,
                        headers: &[],
                    })
                    .is_some()
            })
            .collect()
    }

    #[test]
    fn conditions_and_turns() {
        let gets = [("GET", "/a"); 5];
        let rule = || Rule::new("r", Fault::status(500));
        assert_eq!(fired(rule(), &gets), [true; 5]);
        assert_eq!(
            fired(rule().nth(2), &gets),
            [false, true, false, false, false]
        );
        assert_eq!(
            fired(rule().after(1).times(2), &gets),
            [false, true, true, false, false]
        );
        assert_eq!(
            fired(rule().every(2), &gets),
            [true, false, true, false, true]
        );
        assert_eq!(fired(rule().method("post"), &gets), [false; 5]);
        let mixed = [
            ("GET", "/i/_bulk?x"),
            ("POST", "/i/_bulk?x"),
            ("POST", "/i/_doc"),
            ("POST", "/i/_bulk?x"),
        ];
        assert_eq!(
            fired(rule().method("POST").path_contains("/_bulk").nth(2), &mixed),
            [false, false, false, true]
        );
        assert_eq!(
            fired(
                rule().when(|request| request.target.ends_with("doc")),
                &mixed
            ),
            [false, false, true, false]
        );
    }

    #[test]
    fn the_first_rule_whose_turn_it_is_wins() {
        let mut script = Script::default();
        script.set(vec![
            Rule::new("one", Fault::status(500)).times(1),
            Rule::new("two", Fault::status(503)).nth(2),
        ]);
        let mut next = || {
            let request = Request {
                method: "GET",
                target: "/",
                headers: &[],
            };
            script.decide(request).map(|rule| rule.name)
        };
        assert_eq!(
            (next().as_deref(), next().as_deref(), next()),
            (Some("one"), Some("two"), None)
        );
    }
}

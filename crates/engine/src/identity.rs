//! Who asks, told to the upstream in headers. Every auth plugin tells it through here, so that no copy sent by a client
//! survives, whatever the outcome and whatever the spelling.
use std::rc::Rc;
use std::sync::Arc;

use crate::answer::Answer;
use crate::credentials::Credential;
use crate::exchange::{CredentialRef, Exchange};
use crate::filter::Flow;
use crate::guard;
use crate::headers::Headers;
use crate::snapshot::ConsumerEntry;
use crate::text::Text;

const CONSUMER_ID: &str = "X-Consumer-ID";
const CONSUMER_USERNAME: &str = "X-Consumer-Username";
const CONSUMER_CUSTOM_ID: &str = "X-Consumer-Custom-ID";
const CREDENTIAL_IDENTIFIER: &str = "X-Credential-Identifier";
const ANONYMOUS_CONSUMER: &str = "X-Anonymous-Consumer";
/// Groups of the consumer, set by acl.
pub const CONSUMER_GROUPS: &str = "X-Consumer-Groups";
/// Groups that an auth plugin vouches for, set by acl.
pub const AUTHENTICATED_GROUPS: &str = "X-Authenticated-Groups";

const ALL: [&str; 8] = [
    CONSUMER_ID,
    CONSUMER_USERNAME,
    CONSUMER_CUSTOM_ID,
    CREDENTIAL_IDENTIFIER,
    "X-Credential-Username",
    ANONYMOUS_CONSUMER,
    CONSUMER_GROUPS,
    AUTHENTICATED_GROUPS,
];
const SHORTEST: usize = CONSUMER_ID.len();

/// What a request holds of who asks.
pub struct Caller<'a> {
    /// The headers that the upstream is told in.
    pub headers: &'a mut Headers,
    /// The consumer.
    pub consumer: &'a mut Option<Arc<ConsumerEntry>>,
    /// The credential that was used.
    pub credential: &'a mut Option<CredentialRef>,
    /// Groups that an auth plugin vouches for.
    pub authenticated_groups: &'a mut Vec<Text>,
    /// Whether the consumer stands for nobody.
    pub is_anonymous: &'a mut bool,
}

impl<'a> Caller<'a> {
    fn of(x: &'a mut Exchange) -> Self {
        Self {
            headers: &mut x.request.headers,
            consumer: &mut x.consumer,
            credential: &mut x.credential,
            authenticated_groups: &mut x.authenticated_groups,
            is_anonymous: &mut x.is_anonymous,
        }
    }

    /// Forgets whoever was recognised so far and deletes every identity header, in every spelling.
    pub fn clear(&mut self) {
        *self.consumer = None;
        *self.credential = None;
        self.authenticated_groups.clear();
        *self.is_anonymous = false;
        clear_headers(self.headers);
    }

    /// Recognises a consumer, a credential, or both: the credential with what the upstream is told of it.
    pub fn authenticate(
        &mut self,
        consumer: Option<&Arc<ConsumerEntry>>,
        credential: Option<(CredentialRef, Text)>,
    ) {
        self.clear();
        if let Some(consumer) = consumer {
            tell_consumer(self.headers, consumer);
            *self.consumer = Some(Arc::clone(consumer));
        }
        if let Some((credential, identifier)) = credential {
            self.headers.append(CREDENTIAL_IDENTIFIER, identifier);
            *self.credential = Some(credential);
        }
    }

    /// Lets a request through as the consumer that stands for nobody.
    pub fn authenticate_anonymous(&mut self, consumer: &Arc<ConsumerEntry>) {
        self.clear();
        tell_consumer(self.headers, consumer);
        self.headers.append(ANONYMOUS_CONSUMER, "true");
        *self.consumer = Some(Arc::clone(consumer));
        *self.is_anonymous = true;
    }
}

/// Forgets whoever was recognised so far and deletes every identity header, in every spelling.
pub fn clear(x: &mut Exchange) {
    Caller::of(x).clear();
}

/// Deletes every identity header, in every spelling.
pub fn clear_headers(headers: &mut Headers) {
    headers.retain(|name, _| {
        name.len() < SHORTEST
            || name[0] | 0x20 != b'x'
            || !ALL.iter().any(|wanted| is_spelled(name, wanted.as_bytes()))
    });
}

// A lenient upstream takes `_` for `-`, or drops what follows a `.`: fold all marks into one.
fn is_spelled(name: &[u8], wanted: &[u8]) -> bool {
    let fold = |byte: u8| match byte {
        b'_' | b'.' => b'-',
        other => other.to_ascii_lowercase(),
    };
    name.len() == wanted.len()
        && name
            .iter()
            .zip(wanted)
            .all(|(byte, wanted)| fold(*byte) == wanted.to_ascii_lowercase())
}

/// Recognises a consumer by a credential.
pub fn authenticate(
    x: &mut Exchange,
    consumer: &Arc<ConsumerEntry>,
    credential: CredentialRef,
    identifier: Text,
) {
    Caller::of(x).authenticate(Some(consumer), Some((credential, identifier)));
}

/// Recognises whose credential was proved; `collection` is the credential's.
pub fn recognise<P>(x: &mut Exchange, credential: &Credential<P>, collection: &'static str) {
    let used = CredentialRef {
        id: Arc::clone(&credential.id),
        kind: collection,
    };
    authenticate(x, &credential.consumer, used, credential.identifier.clone());
}

/// What becomes of a request that showed no valid credential: it goes on as the consumer `anonymous` where there is one,
/// else it is refused.
pub fn refuse(x: &mut Exchange, anonymous: Option<&str>, refusal: Box<Answer>) -> Flow {
    clear(x);
    let Some(anonymous) = anonymous else {
        return Flow::Answer(refusal);
    };
    let snapshot = Rc::clone(&x.snapshot);
    match snapshot.consumers.find(anonymous) {
        Some(consumer) => {
            Caller::of(x).authenticate_anonymous(consumer);
            Flow::Continue
        }
        None => Flow::Answer(Answer::unexpected()),
    }
}

/// What every auth plugin does before it looks for a credential. None: it has to look for one.
///
/// A path that servers read in different ways is refused; a preflight that is not to be asked passes as nobody's; and
/// where another auth plugin has found a credential nothing more is needed.
pub fn open(x: &mut Exchange, anonymous: Option<&str>, asks_preflights: bool) -> Option<Flow> {
    if let Some(refusal) = guard::refusal(x) {
        return Some(refusal);
    }
    if !asks_preflights && x.request.method.as_bytes() == b"OPTIONS" {
        clear(x);
        return Some(Flow::Continue);
    }
    is_settled(x, anonymous).then_some(Flow::Continue)
}

/// Whether another auth plugin has settled who asks: with `anonymous`, one valid credential of several will do.
fn is_settled(x: &Exchange, anonymous: Option<&str>) -> bool {
    anonymous.is_some() && x.credential.is_some()
}

fn tell_consumer(headers: &mut Headers, consumer: &ConsumerEntry) {
    headers.append(CONSUMER_ID, consumer.id.clone());
    if let Some(custom_id) = &consumer.custom_id {
        headers.append(CONSUMER_CUSTOM_ID, custom_id.clone());
    }
    if let Some(username) = &consumer.username {
        headers.append(CONSUMER_USERNAME, username.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_spelling_of_an_identity_header_survives() {
        let mut headers = Headers::new();
        for name in [
            "x-consumer-id",
            "X_Consumer_ID",
            "X-CONSUMER_USERNAME",
            "x_consumer-custom_id",
            "X-Credential.Identifier",
            "x_anonymous_consumer",
            "X-Consumer-Groups",
            "X_Authenticated_Groups",
        ] {
            headers.append(name, "evil");
        }
        headers.append("X-Consumer-Idea", "mine");
        headers.append("Y-Consumer-ID", "mine");
        clear_headers(&mut headers);
        assert!(headers.iter().all(|(_, value)| value == b"mine"));
        assert_eq!(headers.len(), 2);
    }
}

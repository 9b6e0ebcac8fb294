//! What a store is asked to do, as one script: so that what is looked at and what is added cannot come apart, whoever
//! counts at the same time.
use std::sync::Arc;

use bytes::BytesMut;
use twinplane_engine::limiter::shared::{Counted, Counting, SharedWindow, StoreFault};

use super::resp::{Reply, write_command};

/// For each key an amount, what may have been counted for it to be added (or nothing), and the seconds that it is kept.
/// Gives back what was counted before, and behind that whether the amounts were added. Nothing is counted beyond 2^53,
/// where numbers of a script are no longer exact: so no window fails after others have been added to.
pub(super) const SCRIPT: &str = "\
local found, adds = {}, 1
for i, key in ipairs(KEYS) do
  found[i] = tonumber(redis.call('GET', key) or '0')
  local most = tonumber(ARGV[3 * i - 1])
  if most and found[i] >= most then adds = 0 end
end
if adds == 1 then
  for i, key in ipairs(KEYS) do
    local amount = math.min(tonumber(ARGV[3 * i - 2]), 9007199254740992 - found[i])
    if amount > 0 then
      redis.call('INCRBY', key, string.format('%.0f', amount))
      if found[i] == 0 then redis.call('EXPIRE', key, ARGV[3 * i]) end
    end
  end
end
found[#KEYS + 1] = adds
return found
";

/// The longest text of an error that is passed on.
const ERROR_CHARS_MAX: usize = 200;

/// How the script is named in a command.
#[derive(Clone, Copy, Debug)]
pub(super) enum Named<'a> {
    /// By the digest that the store has told.
    Digest(&'a str),
    /// By its text, where the store has forgotten it.
    Text,
}

/// Appends the command that counts.
pub(super) fn write(counting: &Counting, named: Named<'_>, out: &mut BytesMut) {
    let windows = &counting.windows;
    let mut arguments: Vec<String> = Vec::with_capacity(windows.len() * 4 + 1);
    arguments.push(windows.len().to_string());
    arguments.extend(windows.iter().map(SharedWindow::name));
    for window in windows {
        let most = window.most.map(|most| most.to_string());
        arguments.push(window.amount.to_string());
        arguments.push(most.unwrap_or_default());
        arguments.push(window.kept_s.to_string());
    }
    let mut parts: Vec<&[u8]> = match named {
        Named::Digest(digest) => vec![b"EVALSHA", digest.as_bytes()],
        Named::Text => vec![b"EVAL", SCRIPT.as_bytes()],
    };
    parts.extend(arguments.iter().map(String::as_bytes));
    write_command(&parts, out);
}

/// What the reply to so many windows says.
pub(super) fn read(reply: Reply, windows: usize) -> Result<Counted, StoreFault> {
    let odd = || StoreFault::Refused("an answer that does not fit the question".into());
    let items = match reply {
        Reply::List(items) if items.len() == windows + 1 => items,
        Reply::Error(error) => return Err(StoreFault::Refused(short(&error))),
        _ => return Err(odd()),
    };
    let mut numbers = Vec::with_capacity(items.len());
    for item in items {
        match item {
            Reply::Integer(number) => numbers.push(u64::try_from(number).unwrap_or(0)),
            _ => return Err(odd()),
        }
    }
    let is_added = numbers.pop() == Some(1);
    Ok(Counted {
        before: numbers,
        is_added,
    })
}

/// Whether the store has forgotten the script.
pub(super) fn is_forgotten(reply: &Reply) -> bool {
    matches!(reply, Reply::Error(error) if error.starts_with("NOSCRIPT"))
}

/// The text of an error, fit for a line of a log.
pub(super) fn short(error: &str) -> Arc<str> {
    let printable = error.chars().filter(|character| !character.is_control());
    printable.take(ERROR_CHARS_MAX).collect::<String>().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(numbers: &[i64]) -> Reply {
        Reply::List(numbers.iter().copied().map(Reply::Integer).collect())
    }

    #[test]
    fn a_reply_tells_what_was_there_and_whether_it_was_added_to() {
        let counted = read(list(&[3, 0, 1]), 2).unwrap();
        assert_eq!((counted.before, counted.is_added), (vec![3, 0], true));
        assert!(!read(list(&[5, 0]), 1).unwrap().is_added);
    }

    #[test]
    fn a_reply_that_does_not_fit_counts_nothing() {
        let refused = |reply| matches!(read(reply, 2), Err(StoreFault::Refused(_)));
        assert!(refused(list(&[1, 2])));
        assert!(refused(Reply::Nothing));
        assert!(refused(Reply::List(vec![Reply::Nothing; 3])));
        let error = read(Reply::Error("OOM command\nnot allowed".to_owned()), 2);
        assert_eq!(
            error,
            Err(StoreFault::Refused("OOM commandnot allowed".into()))
        );
        assert!(is_forgotten(&Reply::Error("NOSCRIPT No such".to_owned())));
    }
}

//! A connection to a store: how it is made, and how commands and answers go over it.
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::time::Instant;
use twinplane_engine::balancer::Ask;
use twinplane_engine::limiter::shared::StoreFault;
use twinplane_engine::limiter::store::StorePlace;

use super::link::Link;
use super::resp::{self, Malformed, Reply};
use super::script::{self, Named, SCRIPT};
use super::written::Written;
use crate::upstream::connection;
use crate::upstream::io::UpstreamIo;
use crate::upstream::peers;
use crate::upstream::pool::{Place, PoolKey};
use crate::worker::Worker;

/// The kinds of errors that a server may answer a password with.
const KINDS: [&str; 7] = [
    "WRONGPASS",
    "NOAUTH",
    "NOPERM",
    "ERR",
    "DENIED",
    "LOADING",
    "MASTERDOWN",
];
/// What a server says, whatever it is asked, that has no room for another connection.
const TOO_MANY: &str = "ERR max number of clients reached";
/// What a greeting is answered with holds no more.
const GREETING_ITEMS_MAX: usize = 16;
/// A doubted store on which nothing failed for so long is trusted.
const TRUSTED_AFTER: Duration = Duration::from_secs(10);

/// How a connection ended.
pub(super) enum End {
    /// Nobody waited.
    Unused,
    /// With a fault.
    Broken(StoreFault),
}

/// A connection that has been greeted.
pub(super) struct Opened {
    reader: ReadHalf<UpstreamIo>,
    writer: WriteHalf<UpstreamIo>,
    // What came and was not yet read.
    input: BytesMut,
    // The script's.
    digest: String,
}

/// Connects, says who the node is, chooses the database and leaves the script there.
pub(super) async fn open(worker: &Worker, place: &StorePlace) -> Result<Opened, StoreFault> {
    let unreachable = |reason: String| StoreFault::Unreachable(script::short(&reason));
    let io = connect(worker, place).await.map_err(unreachable)?;
    let (reader, writer) = tokio::io::split(io);
    let mut opened = Opened {
        reader,
        writer,
        input: BytesMut::new(),
        digest: String::new(),
    };
    let mut greeting = BytesMut::new();
    let mut replies = 1;
    if let Some(password) = &place.password {
        let mut parts: Vec<&[u8]> = vec![b"AUTH"];
        parts.extend(place.username.as_ref().map(|name| name.as_bytes()));
        parts.push(password.as_bytes());
        resp::write_command(&parts, &mut greeting);
        replies += 1;
    }
    if place.database != 0 {
        let number = place.database.to_string();
        resp::write_command(&[b"SELECT", number.as_bytes()], &mut greeting);
        replies += 1;
    }
    resp::write_command(&[b"SCRIPT", b"LOAD", SCRIPT.as_bytes()], &mut greeting);
    opened
        .write(&mut greeting)
        .await
        .map_err(|error| unreachable(error.to_string()))?;
    for number in 0..replies {
        match opened.next_reply().await {
            Ok(Reply::Error(error)) if number == 0 && place.password.is_some() => {
                return Err(unreachable(without_password(&error)));
            }
            Ok(Reply::Error(error)) => return Err(unreachable(error)),
            Ok(Reply::Text(text)) => opened.digest = text,
            Ok(_) => return Err(unreachable("an odd greeting".to_owned())),
            Err(reason) => return Err(unreachable(reason)),
        }
    }
    if !opened.input.is_empty() {
        return Err(unreachable("it has answered what was not asked".to_owned()));
    }
    Ok(opened)
}

// A server that does not know the command may say it again with what came with it, whole or cut short: of what it says
// only a word that is known is kept.
fn without_password(error: &str) -> String {
    if error == TOO_MANY {
        return error.to_owned();
    }
    let first = error.split(' ').next().unwrap_or_default();
    match KINDS.iter().find(|kind| **kind == first) {
        Some(kind) => format!("it does not take the password ({kind})"),
        None => "it does not take the password".to_owned(),
    }
}

// Whether the server cannot count for now, whatever it is asked: a replica, one that has lost its primary, one that
// still reads what it holds. Another one may stand behind the same name. Older servers wrap what a script met.
fn is_unfit(reply: &Reply) -> bool {
    let Reply::Error(error) = reply else {
        return false;
    };
    error.split(' ').enumerate().any(|(at, word)| {
        let kind = if at == 0 {
            Some(word)
        } else {
            word.strip_prefix('-')
        };
        kind.is_some_and(|kind| matches!(kind, "READONLY" | "MASTERDOWN" | "LOADING"))
    })
}

async fn connect(worker: &Worker, place: &StorePlace) -> Result<UpstreamIo, String> {
    let within = Duration::from_millis(place.timeout_ms);
    let ask = Ask {
        tried: &[],
        hash: None,
        now_us: worker.now_us(),
    };
    let found = peers::by_name(worker, &place.host, place.port, &ask, within).await;
    let (address, port) = found.map_err(|_| format!("{} has no address", place.host))?;
    let tls = match &place.tls {
        None => None,
        Some(tls) => {
            let made = worker.upstream_tls.of_store(tls.is_verified);
            Some(made.map_err(|error| error.to_string())?)
        }
    };
    let server_name = place.tls.as_ref().map(|tls| {
        let host = place.host.trim_matches(|end| matches!(end, '[' | ']'));
        tls.server_name.clone().unwrap_or_else(|| host.into())
    });
    let key = PoolKey {
        place: Place::Tcp(SocketAddr::new(address, port)),
        tls: tls.as_ref().map_or(0, |tls| tls.number),
        server_name,
    };
    connection::connect(&key, tls.as_ref())
        .await
        .map_err(|fault| match fault {
            connection::ConnectFault::Refused(error) => error.to_string(),
            connection::ConnectFault::ServerName => "no name that TLS can ask for".to_owned(),
        })
}

impl Opened {
    async fn write(&mut self, output: &mut BytesMut) -> std::io::Result<()> {
        self.writer.write_all_buf(output).await?;
        self.writer.flush().await
    }

    async fn next_reply(&mut self) -> Result<Reply, String> {
        loop {
            match resp::read(&mut self.input, GREETING_ITEMS_MAX) {
                Ok(Some(reply)) => return Ok(reply),
                Ok(None) => {}
                Err(Malformed) => return Err("it does not speak the protocol of Redis".to_owned()),
            }
            match self.reader.read_buf(&mut self.input).await {
                Ok(0) => return Err("it has closed the connection".to_owned()),
                Ok(_) => {}
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    /// Carries commands there and answers back until it ends.
    pub(super) async fn pump(mut self, link: &Link, worker: &Worker) -> End {
        let mut written = Written::default();
        let mut trusted_at = link.is_doubted().then(|| Instant::now() + TRUSTED_AFTER);
        let mut output = BytesMut::new();
        let mut is_flushed = true;
        let end = loop {
            for job in link.jobs.take() {
                if job.is_given_up() {
                    link.end(job, Err(StoreFault::TimedOut));
                    continue;
                }
                script::write(&job.counting, Named::Digest(&self.digest), &mut output);
                written.jobs.push_back(job);
                is_flushed = false;
            }
            if link.is_over() && written.jobs.is_empty() {
                break End::Unused;
            }
            let deadline = written.deadline();
            let (reader, writer) = (&mut self.reader, &mut self.writer);
            let write = async {
                writer.write_all_buf(&mut output).await?;
                writer.flush().await
            };
            let has_read = tokio::select! {
                sent = write, if !is_flushed => sent.map(|()| {
                    is_flushed = true;
                    None
                }),
                read = reader.read_buf(&mut self.input) => read.map(Some),
                () = link.woken.notified() => Ok(None),
                () = until(deadline), if deadline.is_some() => {
                    break End::Broken(StoreFault::TimedOut);
                }
                () = until(trusted_at), if trusted_at.is_some() && written.jobs.is_empty() => {
                    trusted_at = None;
                    link.recover();
                    Ok(None)
                }
            };
            match has_read {
                Ok(None) => {}
                // One that has yet to prove itself is made anew, so that the trouble comes to an end.
                Ok(Some(0)) | Err(_) if written.jobs.is_empty() && !link.is_doubted() => {
                    break End::Unused;
                }
                Ok(Some(0)) => break End::Broken(lost("it has closed the connection")),
                Ok(Some(_)) => {
                    let answered = self.answer(link, worker, &mut written, &mut output);
                    if let Err(fault) = answered {
                        break End::Broken(fault);
                    }
                    is_flushed &= output.is_empty();
                }
                Err(error) => break End::Broken(lost(&error.to_string())),
            }
        };
        if let End::Broken(fault) = &end {
            let behind = match fault {
                // The first was not obeyed; those behind it may have been, a moment later.
                StoreFault::Unreachable(reason) => {
                    link.fail(worker, written.take(), fault);
                    StoreFault::Lost(Arc::clone(reason))
                }
                fault => fault.clone(),
            };
            link.fail(worker, written.jobs, &behind);
        }
        // What was put while the last connection ended is the next one's.
        match end {
            End::Unused if !link.jobs.borrow().is_empty() => End::Broken(lost("it was closed")),
            end => end,
        }
    }

    // Gives the answers that have come to those who wait for them, in their order.
    fn answer(
        &mut self,
        link: &Link,
        worker: &Worker,
        written: &mut Written,
        output: &mut BytesMut,
    ) -> Result<(), StoreFault> {
        while let Some(reply) = resp::read(&mut self.input, written.items_max())
            .map_err(|Malformed| lost("it does not speak the protocol of Redis"))?
        {
            if let Reply::Error(error) = &reply
                && is_unfit(&reply)
            {
                return Err(StoreFault::Unreachable(script::short(error)));
            }
            let Some(job) = written.take() else {
                return Err(lost("it has answered what was not asked"));
            };
            if script::is_forgotten(&reply) && !job.is_whole {
                script::write(&job.counting, Named::Text, output);
                written.put_again(job);
                continue;
            }
            match script::read(reply, job.counting.windows.len()) {
                Ok(counted) => {
                    link.recover();
                    link.end(job, Ok(counted));
                }
                Err(fault) => link.refuse(worker, job, fault),
            }
        }
        Ok(())
    }
}

async fn until(deadline: Option<Instant>) {
    if let Some(deadline) = deadline {
        tokio::time::sleep_until(deadline).await;
    }
}

fn lost(reason: &str) -> StoreFault {
    StoreFault::Lost(script::short(reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> Reply {
        Reply::Error(text.to_owned())
    }

    #[test]
    fn no_part_of_a_password_is_told() {
        for (told, wanted) in [
            ("WRONGPASS invalid username-password pair", " (WRONGPASS)"),
            (
                "ERR unknown command 'AUTH', with args beginning with: 'correct-hors",
                " (ERR)",
            ),
            ("correct-horse-battery", ""),
            ("", ""),
        ] {
            let wanted = format!("it does not take the password{wanted}");
            assert_eq!(without_password(told), wanted);
        }
        assert_eq!(without_password(TOO_MANY), TOO_MANY);
    }

    #[test]
    fn a_server_that_cannot_count_for_now_is_told_from_one_that_refuses() {
        for told in [
            "READONLY You can't write against a read only replica. script: 5b, on @user_script:11.",
            "ERR Error running script (call to f_5b): @user_script:11: -READONLY You can't write",
            "MASTERDOWN Link with MASTER is down",
            "LOADING Redis is loading the dataset in memory",
        ] {
            assert!(is_unfit(&error(told)), "{told}");
        }
        for told in [
            "OOM command not allowed when used memory > 'maxmemory'.",
            "WRONGTYPE Operation against a key holding the wrong kind of value",
            "ERR READONLY is no command",
            "NOSCRIPT No matching script.",
        ] {
            assert!(!is_unfit(&error(told)), "{told}");
        }
        assert!(!is_unfit(&Reply::Text("READONLY".to_owned())));
    }
}

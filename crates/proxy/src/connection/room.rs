//! What requests need and an idle connection does not: buffers and lists of fields. A worker keeps a few for all of its
//! connections, so that hardly anything is allocated for requests and nothing kept for a silence.
use std::cell::RefCell;

use bytes::BytesMut;
use twinplane_engine::headers::Headers;

use crate::h1::output::Output;
use crate::upstream::connection::READ_BYTES;

// So many rooms wait for a request; what is given back beyond them is freed.
const ROOMS_MAX: usize = 64;
// A room that has grown beyond this is not kept.
const OUTPUT_BYTES_MAX: usize = 8_192;
const FIELDS_MAX: usize = 96;
// What a list of fields has room for at first.
const FIELDS: usize = 24;

/// Room for one request of an HTTP/1 connection. By default there is none.
#[derive(Debug, Default)]
pub(super) struct Room {
    is_there: bool,
    /// What was read and not yet taken.
    pub(super) buffer: BytesMut,
    /// What is to be written.
    pub(super) output: Output,
    /// Header fields of a request.
    pub(super) request: Headers,
    /// Header fields of a response.
    pub(super) response: Headers,
}

impl Room {
    fn furnished() -> Self {
        Self {
            is_there: true,
            request: Headers::with_capacity(FIELDS),
            response: Headers::with_capacity(FIELDS),
            ..Self::default()
        }
    }

    /// Takes back the lists that a request was served with.
    pub(super) fn take_back(&mut self, request: Headers, response: Headers) {
        self.request = request;
        self.response = response;
        self.request.clear();
        self.response.clear();
    }

    // Whether it may serve others: nothing is in it, and it is no larger than rooms are.
    fn is_usual(&mut self) -> bool {
        // What was cut off the front of the buffer is its own again once nobody reads it, and shows how large it is.
        let is_large = self.buffer.try_reclaim(READ_BYTES + 1);
        let _is_whole =
            self.buffer.capacity() >= READ_BYTES / 4 || self.buffer.try_reclaim(READ_BYTES);
        self.buffer.is_empty()
            && !is_large
            && self.buffer.capacity() <= READ_BYTES
            && self.output.pending() == 0
            && self.output.capacity() <= OUTPUT_BYTES_MAX
            && (1..=FIELDS_MAX).contains(&self.request.capacity())
            && (1..=FIELDS_MAX).contains(&self.response.capacity())
    }
}

/// The rooms of a worker that no connection is using.
#[derive(Debug, Default)]
pub(crate) struct Rooms(RefCell<Vec<Room>>);

impl Rooms {
    /// Sees to it that there is room.
    pub(super) fn furnish(&self, room: &mut Room) {
        if !room.is_there {
            *room = self.0.borrow_mut().pop().unwrap_or_else(Room::furnished);
        }
    }

    /// Takes a room in which nothing is left to do.
    pub(super) fn give_back(&self, room: &mut Room) {
        let mut room = std::mem::take(room);
        let mut rooms = self.0.borrow_mut();
        if room.is_there && rooms.len() < ROOMS_MAX && room.is_usual() {
            rooms.push(room);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_serves_one_connection_after_the_other() {
        let rooms = Rooms::default();
        let (mut first, mut second) = (Room::default(), Room::default());
        rooms.furnish(&mut first);
        first.buffer.extend_from_slice(b"GET / HTTP/1.1\r\n\r\n");
        first.request.append("A", "1");
        let place = first.buffer.as_ptr();
        let (request, response) = (
            std::mem::take(&mut first.request),
            Headers::with_capacity(1),
        );
        drop(first.buffer.split().freeze());
        first.take_back(request, response);
        rooms.give_back(&mut first);
        assert_eq!(first.buffer.capacity() + first.request.capacity(), 0);
        rooms.furnish(&mut second);
        second.buffer.reserve(18);
        assert_eq!(second.buffer.as_ptr(), place);
        assert!(second.request.is_empty() && second.request.capacity() > 0);
        rooms.furnish(&mut first);
        assert_ne!(first.request.capacity(), 0, "one of its own");
    }

    #[test]
    fn what_has_grown_or_holds_something_is_not_kept() {
        let spoil: [fn(&mut Room); 5] = [
            |room| {
                room.buffer.resize(65_536, 0);
                drop(room.buffer.split_to(62_000).freeze());
                room.buffer.clear();
            },
            |room| room.buffer.reserve(65_536),
            |room| room.buffer.extend_from_slice(b"x"),
            |room| room.output.head().resize(20_000, 0),
            |room| room.response = Headers::with_capacity(1_000),
        ];
        for spoilt in spoil {
            let (rooms, mut room) = (Rooms::default(), Room::default());
            rooms.furnish(&mut room);
            spoilt(&mut room);
            rooms.give_back(&mut room);
            assert!(rooms.0.borrow().is_empty());
        }
    }

    #[test]
    fn only_so_many_rooms_are_kept() {
        let rooms = Rooms::default();
        let mut taken: Vec<Room> = (0..ROOMS_MAX + 5).map(|_| Room::furnished()).collect();
        for room in &mut taken {
            rooms.give_back(room);
        }
        assert_eq!(rooms.0.borrow().len(), ROOMS_MAX);
    }
}

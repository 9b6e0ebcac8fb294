//! The 32-bit hash by which consistent hashing places peers and requests (XXH32, seed 0). Nodes of one fleet, ours or
//! not, must place alike, so the function is part of the behaviour.
const PRIMES: [u32; 5] = [
    0x9E37_79B1,
    0x85EB_CA77,
    0xC2B2_AE3D,
    0x27D4_EB2F,
    0x1656_67B1,
];

const fn round(state: u32, lane: u32) -> u32 {
    state
        .wrapping_add(lane.wrapping_mul(PRIMES[1]))
        .rotate_left(13)
        .wrapping_mul(PRIMES[0])
}

fn word(bytes: &[u8]) -> u32 {
    bytes
        .iter()
        .rev()
        .fold(0, |word, byte| word << 8 | u32::from(*byte))
}

/// The hash of `data`.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the length counts modulo 2^32"
)]
pub(super) fn xxhash32(data: &[u8]) -> u32 {
    let stripes = data.chunks_exact(16);
    let words = stripes.remainder().chunks_exact(4);
    let mut hash = PRIMES[4];
    if data.len() >= 16 {
        let mut states = [
            PRIMES[0].wrapping_add(PRIMES[1]),
            PRIMES[1],
            0,
            0u32.wrapping_sub(PRIMES[0]),
        ];
        for stripe in stripes {
            for (state, lane) in states.iter_mut().zip(stripe.chunks_exact(4)) {
                *state = round(*state, word(lane));
            }
        }
        let turned = states.iter().zip([1, 7, 12, 18]);
        hash = turned.fold(0, |sum, (state, by)| {
            sum.wrapping_add(state.rotate_left(by))
        });
    }
    hash = hash.wrapping_add(data.len() as u32);
    let tail = words.remainder();
    for lane in words {
        hash = hash
            .wrapping_add(word(lane).wrapping_mul(PRIMES[2]))
            .rotate_left(17)
            .wrapping_mul(PRIMES[3]);
    }
    for &byte in tail {
        hash = hash
            .wrapping_add(u32::from(byte).wrapping_mul(PRIMES[4]))
            .rotate_left(11)
            .wrapping_mul(PRIMES[0]);
    }
    hash = (hash ^ hash >> 15).wrapping_mul(PRIMES[1]);
    hash = (hash ^ hash >> 13).wrapping_mul(PRIMES[2]);
    hash ^ hash >> 16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_texts_have_their_known_hashes() {
        for (text, wanted) in [
            ("", 0x02CC_5D05),
            ("a", 0x550D_7456),
            ("abc", 0x32D1_53FF),
            ("Nobody inspects the spammish repetition", 0xE229_3B2F),
        ] {
            assert_eq!(xxhash32(text.as_bytes()), wanted, "{text}");
        }
    }
}

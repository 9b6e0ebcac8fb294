//! Each parser of ours against bytes that nobody planned: seeds, mutated by a generator with a fixed start, for as long
//! as `TWINPLANE_FUZZ_SECONDS` says (a second for each parser by default). Nothing may panic, hang or take more than is
//! there, and what is accepted keeps the promises written in `targets/`.
mod targets;

use std::time::{Duration, Instant};

use targets::Target;

/// A generator of numbers that are the same in each run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound.max(1) as u64).unwrap_or(0)
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }
}

/// Runs a target on mutations of its seeds, and of what it has accepted so far.
fn drive(name: &str) {
    let Target {
        seeds,
        pieces,
        run: target,
        ..
    } = *targets::named(name);
    let seconds = std::env::var("TWINPLANE_FUZZ_SECONDS").ok();
    let seconds = seconds.and_then(|text| text.parse().ok()).unwrap_or(1);
    let mut numbers = Numbers(1);
    let mut corpus: Vec<Vec<u8>> = seeds.iter().map(|seed| seed.to_vec()).collect();
    for seed in seeds {
        assert!(target(seed), "{:?}", String::from_utf8_lossy(seed));
    }
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut runs = 0_u64;
    while runs < 2_000 || (Instant::now() < until && runs < 1 << 40) {
        let base = &corpus[numbers.below(corpus.len())];
        let bytes = mutated(base, pieces, &mut numbers);
        if target(&bytes) && numbers.below(50) == 0 {
            if corpus.len() < 500 {
                corpus.push(bytes);
            } else {
                let at = seeds.len() + numbers.below(corpus.len() - seeds.len());
                corpus[at] = bytes;
            }
        }
        runs += 1;
    }
}

fn mutated(base: &[u8], pieces: &[&[u8]], numbers: &mut Numbers) -> Vec<u8> {
    let mut bytes = base.to_vec();
    for _ in 0..=numbers.below(4) {
        let at = numbers.below(bytes.len() + 1);
        match numbers.below(6) {
            0 => bytes.insert(at, numbers.byte()),
            1 => drop(bytes.splice(at..at, pieces[numbers.below(pieces.len())].to_vec())),
            2 => {
                let end = bytes.len().min(at + numbers.below(9));
                bytes.drain(at..end);
            }
            3 => {
                let end = bytes.len().min(at + numbers.below(40));
                let copied = bytes[at..end].to_vec();
                bytes.splice(at..at, copied);
            }
            4 => bytes.truncate(at),
            _ if at < bytes.len() => bytes[at] ^= 1 << numbers.below(8),
            _ => {}
        }
    }
    bytes.truncate(8_192);
    bytes
}

#[test]
fn a_request_head_is_taken_whole_or_not_at_all() {
    drive("request_head");
}

#[test]
fn a_response_head_is_taken_whole_or_not_at_all() {
    drive("response_head");
}

#[test]
fn chunks_mean_the_same_however_they_are_cut() {
    drive("chunks");
}

#[test]
fn a_path_in_normal_form_stays_so_on_the_wire_too() {
    drive("path");
}

#[test]
fn an_expression_is_read_or_its_fault_is_told() {
    drive("expression");
}

#[test]
fn a_header_of_a_balancer_is_read_exactly() {
    drive("proxy_protocol");
}

#[test]
fn a_hello_is_known_when_it_is_whole() {
    drive("client_hello");
}

#[test]
fn what_a_call_is_told_fits_into_a_header() {
    drive("grpc_status");
}

#[test]
fn a_reply_of_a_store_is_read_when_it_is_whole() {
    drive("reply");
}

#[test]
fn a_password_is_shown_by_whoever_is_let_in() {
    drive("basic_auth");
}

#[test]
fn a_signature_is_shown_by_whoever_is_let_in() {
    drive("hmac_auth");
}

#[test]
fn a_token_is_shown_by_whoever_is_let_in() {
    drive("jwt");
}

#[test]
fn a_token_counts_among_cookies_and_arguments() {
    drive("cookie_and_query");
}

#[test]
fn a_key_serves_its_own_algorithm_alone() {
    drive("public_key");
}

#[test]
fn a_configuration_is_built_or_its_faults_are_told() {
    drive("configuration");
}

#[test]
fn every_parser_can_be_led_by_coverage() {
    let manifest = include_str!("../fuzz/Cargo.toml");
    let (_, programs) = manifest.split_once("[[bin]]").expect("targets");
    let names = programs
        .lines()
        .filter_map(|line| line.strip_prefix("name = "));
    let mut led: Vec<&str> = names.map(|name| name.trim_matches('"')).collect();
    let mut all: Vec<&str> = targets::ALL.iter().map(|target| target.name).collect();
    led.sort_unstable();
    all.sort_unstable();
    assert_eq!(led, all);
}

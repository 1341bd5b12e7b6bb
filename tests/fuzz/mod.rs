//! The fuzz targets without a fuzzer: what was found once is tried in every run of the gate, and a few
//! thousand mutations of it, the same each time. `scripts/fuzz` looks for more.

mod targets;

use std::path::Path;

/// Mutations of each file of a corpus.
const MUTATIONS: usize = 300;

fn replay(wanted: &str) {
    let (name, target) = targets::ALL.into_iter().find(|(name, _)| *name == wanted).unwrap();
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(name);
    let mut tried = 0;
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for entry in std::fs::read_dir(corpus).unwrap() {
        let seed = std::fs::read(entry.unwrap().path()).unwrap();
        target(&seed);
        for _ in 0..MUTATIONS {
            target(&random.mutated(&seed));
        }
        tried += 1;
    }
    assert!(tried > 0, "the corpus of {name} is empty");
}

#[test]
fn requests_are_framed_alike_however_they_are_cut() {
    replay("strict");
}

#[test]
fn every_query_gets_a_sound_answer_or_none() {
    replay("dns");
}

#[test]
fn injected_slots_hold_nothing_of_the_agents() {
    replay("inject");
}

#[test]
fn scrubbed_bodies_keep_their_length_and_no_secret() {
    replay("scrub");
}

#[test]
fn every_definition_is_taken_or_refused() {
    replay("provider");
}

/// Xorshift (Marsaglia 2003): the same numbers every time.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % limit.max(1)
    }

    /// A few bytes changed, taken out, doubled or put in.
    fn mutated(&mut self, seed: &[u8]) -> Vec<u8> {
        const TELLING: &[u8] = b"\r\n\0 \t:;,/&=%\"\\{}[]\x7f\x80\xff0aZ";
        let mut bytes = seed.to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len() + 1);
            let byte = TELLING[self.below(TELLING.len())];
            match self.below(5) {
                0 if at < bytes.len() => bytes[at] = byte,
                1 if at < bytes.len() => _ = bytes.remove(at),
                2 => bytes.insert(at, byte),
                3 => bytes.truncate(at),
                _ => {
                    let from = self.below(at + 1);
                    bytes.extend_from_within(from..at);
                }
            }
        }
        bytes
    }
}

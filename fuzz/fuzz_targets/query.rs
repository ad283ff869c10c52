#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| portolan_store::Query::fuzz(text));

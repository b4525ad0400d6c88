#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| jobboard::fuzz_arguments(bytes));

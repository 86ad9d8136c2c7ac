#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| workerman_fuzz::websocket_client(input));

fn main() { if std::env::args().nth(1).as_deref()==Some("__netns") { std::process::exit(0)} }

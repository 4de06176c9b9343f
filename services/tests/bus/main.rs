//! The bus as a whole service, and the kit's outbox, inbox and consumers over it, on machines in memory.

#[path = "../kit/machine.rs"]
#[allow(dead_code)]
mod machine;
#[path = "../shop/world.rs"]
#[allow(dead_code)]
mod world;

mod channels;
mod consumer;
mod outbox;
mod streams;
mod town;

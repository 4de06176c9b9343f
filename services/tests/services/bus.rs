//! The bus as a whole service, and the kit's outbox, inbox and consumers over it.

mod channels;
mod consumer;
mod outbox;
mod streams;
mod town;

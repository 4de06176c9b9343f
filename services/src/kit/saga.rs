//! The durable saga engine: a journal of intents and outcomes, recovery, compensation in reverse.

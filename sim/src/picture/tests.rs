//! What a picture shows of events made by hand.

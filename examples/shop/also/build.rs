//! The gRPC service, described by hand: so nobody needs `protoc`.

use tonic_build::manual::{Builder, Method, Service};

fn main() {
    let method = |name: &str, route: &str| {
        Method::builder()
            .name(name)
            .route_name(route)
            .input_type("crate::grpc::Amount")
            .output_type("crate::grpc::Amount")
            .codec_path("tonic_prost::ProstCodec")
    };
    let adder = Service::builder()
        .package("shop")
        .name("Adder")
        .method(method("add", "Add").build())
        .method(method("count", "Count").server_streaming().build())
        .method(method("sum", "Sum").client_streaming().build())
        .method(
            method("totals", "Totals")
                .client_streaming()
                .server_streaming()
                .build(),
        )
        .build();
    Builder::new().compile(&[adder]);
}

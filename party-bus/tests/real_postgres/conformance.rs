//! The contract, with odd names of schemas.

use super::stage::OwnSchema;

async fn make() -> OwnSchema {
    let mut stage = OwnSchema::new("contract \"of\"; Größe");
    stage.options = stage.options.searchable();
    stage
}

party_bus::bus_conformance!(make);
party_bus::bus_model!(make, 16);

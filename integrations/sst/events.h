// SPDX-License-Identifier: Apache-2.0
// What a VirtIODevice and a ComputeDevice say to each other. Serialised, so that the two may be on
// different ranks of an MPI run.
#pragma once

#include <cstdint>

#include "handlers.h"

namespace mimic_sst {

/// A COMPUTE, on its way to the units.
class ComputeRequest : public SST::Event {
public:
    ComputeRequest() = default;
    ComputeRequest(uint64_t an_id, uint64_t some_units, uint32_t a_model)
        : id(an_id), units(some_units), model(a_model) {}

    uint64_t id = 0;  // the sender's
    uint64_t units = 0;
    uint32_t model = 0;

    void serialize_order(SST::Core::Serialization::serializer& ser) override {
        SST::Event::serialize_order(ser);
        MIMIC_SST_SERIALIZE(id);
        MIMIC_SST_SERIALIZE(units);
        MIMIC_SST_SERIALIZE(model);
    }
    ImplementSerializable(mimic_sst::ComputeRequest);
};

/// Its end.
class ComputeDone : public SST::Event {
public:
    ComputeDone() = default;
    ComputeDone(uint64_t an_id, uint64_t some_cycles, bool is_valid)
        : id(an_id), cycles(some_cycles), valid(is_valid) {}

    uint64_t id = 0;
    uint64_t cycles = 0;  // that it kept its unit
    bool valid = true;    // false: there is no such model

    void serialize_order(SST::Core::Serialization::serializer& ser) override {
        SST::Event::serialize_order(ser);
        MIMIC_SST_SERIALIZE(id);
        MIMIC_SST_SERIALIZE(cycles);
        MIMIC_SST_SERIALIZE(valid);
    }
    ImplementSerializable(mimic_sst::ComputeDone);
};

}  // namespace mimic_sst

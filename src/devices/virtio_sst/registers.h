// SPDX-License-Identifier: Apache-2.0
// Registers of virtio-sst: the configuration space that a driver reads (struct SSTConfig of
// sim/sst_protocol.h), and behind its end, where no driver sees them, what tools read by name and a
// saved state consists of. tools/regdump prints README.md's table from this file.
#pragma once

#include "reg/map.h"
#include "sim/sst_protocol.h"

namespace mimic::virtio_sst {

using reg::Access;
using reg::kPerDevice;
using reg::Register;

/// What a driver can read. The rest of the map is for tools.
inline constexpr uint32_t kConfigBytes = sizeof(SSTConfig);
inline constexpr uint64_t kMapBytes = 0x100;

/// Parameters of CONFIGURE that are the simulator's: ids 1 to 7.
inline constexpr uint32_t kParameters = SST_PARAM_EVENT_MASK - 1;

inline constexpr const char* kLinuxSst = "Linux SST, struct SSTConfig";
inline constexpr const char* kOwn = "README";

inline constexpr Register VERSION{
    .name = "VERSION",
    .offset = 0x00,
    .doc = "Version of the device; 0x00010000 is 1.0.",
    .spec = kLinuxSst,
    .fields = {{"VALUE", 31, 0, Access::kRo, SST_VERSION, "Major in the upper half."}}};

inline constexpr Register DEVICE_ID{
    .name = "DEVICE_ID",
    .offset = 0x04,
    .doc = "Which of a machine's devices it is: `id` of the topology file.",
    .spec = kLinuxSst,
    .fields = {{"VALUE", 31, 0, Access::kRo, 0, "A number.", kPerDevice}}};

inline constexpr Register FEATURES{
    .name = "FEATURES",
    .offset = 0x08,
    .width = 64,
    .doc = "Feature bits of the device, as virtio offers them.",
    .spec = kLinuxSst,
    .fields = {{"ECHO", 0, 0, Access::kRo, 0, "ECHO requests.", kPerDevice},
               {"COMPUTE", 1, 1, Access::kRo, 0, "COMPUTE requests.", kPerDevice},
               {"MEMORY", 2, 2, Access::kRo, 0, "READ and WRITE requests.", kPerDevice},
               {"EVENTS", 3, 3, Access::kRo, 0, "Events on queue 2.", kPerDevice},
               {"MULTI_QUEUE", 4, 4, Access::kRo, 0, "More than one queue pair.", kPerDevice},
               {"RESET", 5, 5, Access::kRo, 0, "RESET requests.", kPerDevice},
               {"TIMING", 6, 6, Access::kRo, 0, "Times behind each response.", kPerDevice},
               {"LOCK_STEP", 7, 7, Access::kRo, 0, "Answers within the kick.", kPerDevice}}};

inline constexpr Register MAX_QUEUES{
    .name = "MAX_QUEUES",
    .offset = 0x10,
    .doc = "Queue pairs.",
    .spec = kLinuxSst,
    .fields = {{"VALUE", 31, 0, Access::kRo, 0, "1 to 16.", kPerDevice}}};

inline constexpr Register EVENT_MASK{
    .name = "EVENT_MASK",
    .offset = 0x40,
    .width = 64,
    .doc = "CONFIGURE's parameter 8: bit N lets events of type N through.",
    .spec = kOwn,
    .fields = {{"VALUE", 63, 0, Access::kRo, ~uint64_t{0}, "Bits by sst_event_type."}}};

inline constexpr Register PARAMETERS_SET{
    .name = "PARAMETERS_SET",
    .offset = 0x48,
    .doc = "Which parameters CONFIGURE has changed in the simulator since the last reset.",
    .spec = kOwn,
    .fields = {{"VALUE", 31, 0, Access::kRo, 0, "Bit N: PARAMETER[N - 1]."}}};

inline constexpr Register IN_FLIGHT{.name = "IN_FLIGHT",
                                    .offset = 0x4c,
                                    .doc = "Requests that wait for their answer.",
                                    .spec = kOwn,
                                    .fields = {{"VALUE", 31, 0, Access::kRo, 0, "A number."}}};

inline constexpr Register PARAMETER{
    .name = "PARAMETER",
    .offset = 0x50,
    .width = 64,
    .count = kParameters,
    .stride = 8,
    .doc = "Values that CONFIGURE has given parameters 1 to 7: clock, latency model, ..",
    .spec = kOwn,
    .fields = {{"VALUE", 63, 0, Access::kRo, 0, "As CONFIGURE had it."}}};

inline constexpr Register REQUESTS{.name = "REQUESTS",
                                   .offset = 0x90,
                                   .width = 64,
                                   .doc = "Requests that a driver has sent.",
                                   .spec = kOwn,
                                   .fields = {{"VALUE", 63, 0, Access::kRo, 0, "A number."}}};

inline constexpr Register RESPONSES{.name = "RESPONSES",
                                    .offset = 0x98,
                                    .width = 64,
                                    .doc = "Answers that it got.",
                                    .spec = kOwn,
                                    .fields = {{"VALUE", 63, 0, Access::kRo, 0, "A number."}}};

inline constexpr Register ERRORS{.name = "ERRORS",
                                 .offset = 0xa0,
                                 .width = 64,
                                 .doc = "Of those, the ones that are not OK.",
                                 .spec = kOwn,
                                 .fields = {{"VALUE", 63, 0, Access::kRo, 0, "A number."}}};

inline constexpr Register EVENTS{.name = "EVENTS",
                                 .offset = 0xa8,
                                 .width = 64,
                                 .doc = "Events that were sent.",
                                 .spec = kOwn,
                                 .fields = {{"VALUE", 63, 0, Access::kRo, 0, "A number."}}};

inline constexpr Register EVENTS_DROPPED{
    .name = "EVENTS_DROPPED",
    .offset = 0xb0,
    .width = 64,
    .doc = "Events that were lost, because the driver gave no buffers for them.",
    .spec = kOwn,
    .fields = {{"VALUE", 63, 0, Access::kRo, 0, "A number."}}};

inline constexpr auto kMap =
    reg::make_map<VERSION, DEVICE_ID, FEATURES, MAX_QUEUES, EVENT_MASK, PARAMETERS_SET, IN_FLIGHT,
                  PARAMETER, REQUESTS, RESPONSES, ERRORS, EVENTS, EVENTS_DROPPED>(
        {.name = "virtio_sst",
         .doc = "Configuration space of virtio-sst, and behind 0x18 what only tools see.",
         .spec = "Linux SST",
         .bar_size_bytes = kMapBytes});
static_assert(kMap.valid());

}  // namespace mimic::virtio_sst

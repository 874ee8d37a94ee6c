// SPDX-License-Identifier: Apache-2.0
#include "mediator/schedule/simulate/random_load.h"

#include <algorithm>

#include "mediator/schedule/time_units.h"

namespace mimic::mediator::schedule {
namespace {

uint32_t random_weight(Random& random) {
    constexpr uint32_t kWeights[] = {1, 7, 10, 20, 30, 40, 50, 100, 1'000, 10'000};
    return kWeights[random.below(std::size(kWeights))];
}

void add_clients(Load& load, VmId vm, Random& random) {
    for (uint64_t n = random.below(3) + 1; n > 0; --n) {
        LoadClient client;
        client.vm = vm;
        client.depth = random.below(2) == 0 ? 1 : static_cast<uint32_t>(random.below(16)) + 1;
        client.job = {{1 * kMs, 20 * kMs}, true};
        const Time thinks[] = {0, 0, 50 * kUs, 2 * kMs, 60 * kMs};
        client.think = {{0, thinks[random.below(std::size(thinks))]}, true};
        if (random.below(2) == 0) {
            client.from = random.between(0, load.duration / 2);
            client.until = client.from + random.between(kMs, load.duration / 2);
        }
        load.clients.push_back(client);
    }
}

}  // namespace

Load random_load(uint64_t seed, const RandomLoadOptions& options) {
    Random random(seed);
    Load load;
    load.name = "random";
    load.seed = seed;
    load.backends = options.backends;
    load.strict_classes = options.classes;
    load.duration = 4'000 * kMs;
    const auto vms = static_cast<VmId>(random.below(6) + 2);
    for (VmId id = 1; id <= vms; ++id) {
        LoadVm vm;
        vm.id = id;
        vm.share.weight = random_weight(random);
        if (options.parallel) vm.share.parallel = options.backends;
        if (options.classes) vm.share.priority = static_cast<Priority>(random.below(3));
        if (options.homes) vm.home = static_cast<BackendIndex>(random.below(options.backends));
        load.vms.push_back(vm);
        add_clients(load, id, random);
    }
    for (uint64_t n = random.below(20); n > 0; --n) {
        const auto vm = static_cast<VmId>(random.below(vms)) + 1;
        const Time at = random.between(0, load.duration - 1);
        if (options.changes && random.below(3) == 0) {
            Share share = load.vms[vm - 1].share;
            share.weight = random_weight(random);
            load.events.push_back({.at = at, .vm = vm, .share = share});
            continue;
        }
        for (uint64_t burst = random.below(30); burst > 0; --burst)
            load.events.push_back({.at = at, .vm = vm, .job = random.between(1 * kMs, 20 * kMs)});
    }
    std::stable_sort(load.events.begin(), load.events.end(),
                     [](const LoadEvent& a, const LoadEvent& b) { return a.at < b.at; });
    return load;
}

}  // namespace mimic::mediator::schedule

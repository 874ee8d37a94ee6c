// SPDX-License-Identifier: Apache-2.0
#include "dra/discovery/health.h"

#include <cerrno>

#include <algorithm>
#include <system_error>
#include <utility>

namespace mimic::dra {
namespace {

using slices::Taint;

// What the kernel answers for a device that is no longer there, or whose bus has failed.
bool is_unreachable(int error) {
    return error == ENODEV || error == EIO || error == ENXIO || error == ETIMEDOUT;
}

Taint taint_of(const slices::DraFacts& facts, std::string_view name, bool evicts) {
    return {.key = fmt::format("{}/{}", facts.driver, name),
            .effect = evicts ? Taint::Effect::kNoExecute : Taint::Effect::kNoSchedule};
}

void add_fault(Taint taint, std::string_view message, KnownDevice* device) {
    device->view.taints.push_back(std::move(taint));
    device->health = Health::kUnhealthy;
    if (!device->health_message.empty()) device->health_message += "; ";
    device->health_message += message;
}

}  // namespace

void HealthJudge::note_errors(const Sighting& sighting, TimePoint now, Memory* memory) const {
    const bool same_device = memory->last.view.pci_address == sighting.device.view.pci_address &&
                             !memory->left;
    if (!same_device) {
        memory->counters.reset();
        memory->has_errors = false;
    }
    if (memory->has_errors && now - memory->last_error >= options_.aer_hold) {
        memory->has_errors = false;
    }
    if (!sighting.aer) return;
    if (memory->counters) {
        // Counters that went back are those of a device that was reset.
        const auto growth = [](uint64_t before, uint64_t after) {
            return after > before ? after - before : 0;
        };
        const uint64_t fatal = growth(memory->counters->fatal, sighting.aer->fatal);
        const uint64_t nonfatal = growth(memory->counters->nonfatal, sighting.aer->nonfatal);
        if (fatal + nonfatal != 0) {
            if (!memory->has_errors) memory->grown = {};
            memory->grown.fatal += fatal;
            memory->grown.nonfatal += nonfatal;
            memory->has_errors = true;
            memory->last_error = now;
        }
    }
    memory->counters = sighting.aer;
}

void HealthJudge::judge_one(const Sighting& sighting, TimePoint now, KnownDevice* device) {
    Memory& memory = memory_[sighting.device.view.node];
    note_errors(sighting, now, &memory);
    device->health = Health::kHealthy;
    if (sighting.status) {
        for (const slices::DraFault& fault : facts_.faults) {
            if ((*sighting.status & fault.mask) == 0) continue;
            add_fault(taint_of(facts_, fault.taint, fault.evicts), fault.message, device);
        }
    } else if (is_unreachable(sighting.status_error)) {
        const std::string why = std::generic_category().message(sighting.status_error);
        add_fault(taint_of(facts_, "unreachable", true),
                  fmt::format("the device cannot be reached: {}", why), device);
    } else if (sighting.status_error != 0) {
        device->health = Health::kUnknown;
        device->health_message = fmt::format(
            "{} cannot be read: {}", facts_.status_file,
            std::generic_category().message(sighting.status_error));
    }
    if (memory.has_errors) {
        add_fault(taint_of(facts_, "aer", true),
                  fmt::format("PCIe errors: {} fatal, {} non-fatal", memory.grown.fatal,
                              memory.grown.nonfatal),
                  device);
    }
    memory.seen = true;
    memory.left = false;
    memory.last = sighting.device;
}

std::vector<KnownDevice> HealthJudge::take_gone(TimePoint now) {
    std::vector<KnownDevice> gone;
    for (auto entry = memory_.begin(); entry != memory_.end();) {
        Memory& memory = entry->second;
        if (!memory.seen && !memory.left) {
            memory.left = true;
            memory.left_at = now;
        }
        const bool forget = memory.left && now - memory.left_at >= options_.keep_gone;
        if (memory.left && !forget && gone.size() < kMaxScannedDevices) {
            KnownDevice device = memory.last;
            device.gone = true;
            device.view.exists = false;
            device.health = Health::kUnhealthy;
            device.health_message = "the device was removed";
            gone.push_back(std::move(device));
        }
        memory.seen = false;
        entry = forget ? memory_.erase(entry) : std::next(entry);
    }
    return gone;
}

std::vector<KnownDevice> HealthJudge::judge(const std::vector<Sighting>& devices, TimePoint now) {
    std::vector<KnownDevice> out;
    for (const Sighting& sighting : devices) {
        KnownDevice device = sighting.device;
        if (device.view.exists) {
            judge_one(sighting, now, &device);
        } else {
            device.health_message = "a claim creates it";
        }
        out.push_back(std::move(device));
    }
    for (KnownDevice& device : take_gone(now)) {
        // A VF that a claim may create again is listed already.
        const auto listed = std::find_if(
            out.begin(), out.end(),
            [&device](const KnownDevice& other) { return other.name == device.name; });
        if (listed == out.end()) {
            out.push_back(std::move(device));
        } else {
            listed->health = device.health;
            listed->health_message = device.health_message;
        }
    }
    std::stable_sort(out.begin(), out.end(), [](const KnownDevice& a, const KnownDevice& b) {
        return slices::node_before(a.view.node, b.view.node);
    });
    return out;
}

}  // namespace mimic::dra

// SPDX-License-Identifier: Apache-2.0
// Targets for tests: the faults of a function that is not there, on a loop of its own.
#pragma once

#include <atomic>
#include <mutex>
#include <string>
#include <vector>

#include "base/loop_pool.h"
#include "control/target.h"

namespace mimic::control {

/// A function without a function: its faults, and what they did.
class FakeDevice {
public:
    FakeDevice(std::string a_name, TaskRunner& runner)
        : name(std::move(a_name)), faults(hooks(), runner) {}

    const std::string name;
    std::atomic<int> errors{0};
    pci::FunctionFaults faults;

private:
    pci::FunctionFaults::Hooks hooks() {
        pci::FunctionFaults::Hooks some;
        some.report_error = [this](const pci::FaultError&) {
            ++errors;
            return std::string();
        };
        return some;
    }
};

class FakeTarget final : public Target {
public:
    explicit FakeTarget(FakeDevice& device) : device_(device) {}
    std::string name() const override { return device_.name; }
    TargetInfo info() const override {
        TargetInfo info;
        info.name = device_.name;
        info.kind = "function";
        info.connected = true;
        info.vendor_id = 0x1de5;
        info.device_id = 1;
        info.class_code = 0x120000;
        info.vfs = 2;
        info.total_vfs = 4;
        info.faults.struck = device_.faults.strikes();
        info.counters = {{"accesses", device_.faults.accesses()},
                         {"bar_reads", device_.faults.accesses()}};
        return info;
    }
    pci::Function* function() override { return nullptr; }
    Status inject(const pci::Fault& fault) override { return device_.faults.arm(fault); }
    std::vector<pci::FaultReport> faults() const override { return device_.faults.report(); }
    void clear_faults() override { device_.faults.clear(); }
    bool clear_fault(uint64_t id) override { return device_.faults.clear(id); }
    std::vector<pci::FaultRefusal> refusals() const override { return device_.faults.refusals(); }

private:
    FakeDevice& device_;
};

/// Devices on one loop. Made and destroyed while the loop is idle.
class FakeGroup final : public TargetGroup {
public:
    FakeGroup(EventLoop& loop, const std::vector<std::string>& names) : loop_(loop) {
        for (const auto& name : names) devices.push_back(std::make_unique<FakeDevice>(name, loop));
    }
    TaskRunner& runner() override { return loop_; }
    std::vector<std::string> names() override {
        std::vector<std::string> all;
        for (const auto& device : devices) all.push_back(device->name);
        return all;
    }
    std::unique_ptr<Target> find(const std::string& name) override {
        for (const auto& device : devices)
            if (device->name == name) return std::make_unique<FakeTarget>(*device);
        return nullptr;
    }
    std::vector<TargetInfo> infos() override {
        std::vector<TargetInfo> all;
        for (const auto& device : devices) all.push_back(FakeTarget(*device).info());
        return all;
    }

    std::vector<std::unique_ptr<FakeDevice>> devices;

private:
    EventLoop& loop_;
};

}  // namespace mimic::control

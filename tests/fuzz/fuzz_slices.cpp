// SPDX-License-Identifier: Apache-2.0
// What devices and the kernel's socket may say, on its way to Kubernetes: whatever the bytes are,
// make_pool() makes a pool that the API's rules allow, and its slices are JSON.
#include <algorithm>
#include <span>
#include <string>
#include <vector>

#include "devices/all_dra.h"
#include "dra/discovery/kobject_events.h"
#include "slices/function_view.h"
#include "slices/slices.h"
#include "tests/fuzz/fuzz.h"

namespace {

using mimic::slices::FunctionView;

// Texts and numbers out of the input: a text is its length and its bytes.
class Source {
public:
    explicit Source(std::span<const uint8_t> data) : data_(data) {}

    bool empty() const { return data_.empty(); }
    uint8_t byte() {
        if (data_.empty()) return 0;
        const uint8_t value = data_.front();
        data_ = data_.subspan(1);
        return value;
    }
    std::string text() {
        const size_t wanted = byte();
        const size_t size = std::min(wanted, data_.size());
        const std::string out(data_.begin(), data_.begin() + static_cast<ptrdiff_t>(size));
        data_ = data_.subspan(size);
        return out;
    }

private:
    std::span<const uint8_t> data_;
};

FunctionView view_of(Source& source, const mimic::slices::DraFacts& facts) {
    FunctionView view;
    const uint8_t shape = source.byte();
    view.node = (shape & 1) != 0 ? source.text() : fmt::format("gpu{}", source.byte());
    view.pci_address = source.text();
    view.pcie_root = source.text();
    view.port_path = source.text();
    view.numa_node = source.byte() - 2;
    if ((shape & 2) != 0) view.parent = fmt::format("gpu{}", source.byte());
    if ((shape & 4) != 0) view.parent = source.text();
    if ((shape & 8) != 0) view.vf_index = source.byte();
    view.total_vfs = source.byte();
    view.exists = (shape & 16) == 0;
    for (const auto& attribute : facts.attributes) {
        view.files[std::string(attribute.sysfs)] = source.text();
    }
    for (unsigned count = shape >> 5; count > 0; --count) {
        view.taints.push_back({source.text(), source.text(), {}});
    }
    return view;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace mimic;
    const auto event = dra::parse_kobject_event({reinterpret_cast<const char*>(data), size});
    FUZZ_REQUIRE(!event || event->action.size() + event->path.size() < size);
    const slices::DraFacts& facts = *devices::all_dra().front();
    Source source({data, size});
    const bool on_demand = (source.byte() & 1) != 0;
    std::vector<FunctionView> views;
    while (!source.empty() && views.size() < 200) views.push_back(view_of(source, facts));
    std::vector<std::string> problems;
    const slices::Pool pool = slices::make_pool(
        facts, views, {.node = "n1", .vfs_on_demand = on_demand}, &problems);
    FUZZ_REQUIRE(slices::check(pool).has_value());
    const auto specs = slices::slice_specs(pool, 1);
    FUZZ_REQUIRE(specs.has_value() && !specs->empty());
    size_t devices = 0;
    for (const auto& spec : *specs) {
        FUZZ_REQUIRE(!spec.dump().empty());  // it throws where a text is no UTF-8
        devices += spec.value("devices", nlohmann::json::array()).size();
    }
    FUZZ_REQUIRE(devices == pool.devices.size());
    return 0;
}

// SPDX-License-Identifier: Apache-2.0
#include "pci/function/sriov.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "base/check.h"
#include "pci/config/pci_regs.h"

namespace mimic::pci {
namespace {

constexpr uint32_t kPagesSupported = 0x553;  // 4 and 8 KiB, 64 and 256 KiB, 1 and 4 MiB: all that
                                             // 9.3.3.12 demands
constexpr uint64_t kPageUnit = 4096;

// VFs that are gone, counted until they are freed.
class Dying {
public:
    Dying(std::vector<std::unique_ptr<Function>> vfs, std::shared_ptr<size_t> count)
        : vfs_(std::move(vfs)), count_(std::move(count)) {}
    ~Dying() { *count_ -= vfs_.size(); }
    Dying(const Dying&) = delete;
    Dying& operator=(const Dying&) = delete;

private:
    std::vector<std::unique_ptr<Function>> vfs_;
    std::shared_ptr<size_t> count_;
};

}  // namespace

Sriov::Sriov(Function& pf, uint32_t cap, const SriovOptions& options)
    : pf_(pf), cap_(cap), options_(options) {
    using namespace regs;
    if ((options_.supported_pages & 1) == 0) options_.supported_pages = kPagesSupported;
    ConfigSpace& config = pf_.config();
    config.define_u32(cap + SRIOV_CAPABILITIES, {.reset = SRIOV_CAPABILITIES_ARI_PRESERVED});
    // ARI Capable Hierarchy is kept by FLR (9.3.3.3.5, with ARI_PRESERVED set).
    config.define_u16(cap + SRIOV_CONTROL,
                      {.writable = SRIOV_CONTROL_VF_ENABLE | SRIOV_CONTROL_VF_MEMORY_SPACE |
                                   (options.lowest_pf ? SRIOV_CONTROL_ARI_HIERARCHY : 0),
                       .sticky = SRIOV_CONTROL_ARI_HIERARCHY});
    config.define_u16(cap + SRIOV_INITIAL_VFS, {.reset = options.total_vfs});
    config.define_u16(cap + SRIOV_TOTAL_VFS, {.reset = options.total_vfs});
    config.define_u16(cap + SRIOV_NUM_VFS, {.writable = 0xffff});
    config.define_u16(cap + SRIOV_VF_DEVICE_ID, {.reset = options.vf_device_id});
    config.define_u32(cap + SRIOV_SUPPORTED_PAGE_SIZES, {.reset = options_.supported_pages});
    config.define_u32(cap + SRIOV_SYSTEM_PAGE_SIZE, {.reset = 1, .writable = ~0U});
    for (unsigned i = 0; i < kBarCount; ++i) {
        const Bar& bar = options.vf_bars[i];
        if (bar.type == BarType::kNone) continue;
        const uint32_t at = cap + SRIOV_VF_BAR0 + 4 * i;
        const bool wide = bar.type == BarType::kMemory64;
        config.define_u32(at, {.reset = (wide ? BAR_MEMORY_TYPE_64 : 0) |
                                        (bar.prefetchable ? BAR_PREFETCHABLE : 0),
                               .writable = BAR_MEMORY_ADDRESS});
        if (wide) config.define_u32(at + 4, {.writable = ~0U});
        config.on_write(at, 4, [this](const ConfigWrite&) { align_bars(); });
        if (wide) config.on_write(at + 4, 4, [this](const ConfigWrite&) { align_bars(); });
    }
    // Their values depend on ARI Capable Hierarchy, which a reset may keep: update_routing_ids().
    config.define_u16(cap + SRIOV_FIRST_VF_OFFSET, {});
    config.define_u16(cap + SRIOV_VF_STRIDE, {.reset = options.stride});
    update_routing_ids();
    config.on_write(cap + SRIOV_NUM_VFS, 2,
                    [this](const ConfigWrite& write) { num_vfs_written(write); });
    config.on_write(cap + SRIOV_SYSTEM_PAGE_SIZE, 4,
                    [this](const ConfigWrite& write) { page_size_written(write); });
    config.on_write(cap + SRIOV_CONTROL, 2,
                    [this](const ConfigWrite& write) { control_written(write); });
}

Sriov::~Sriov() = default;

// --- Registers -------------------------------------------------------------------------------

bool Sriov::enabled() const {
    return (pf_.config().u16(cap_ + regs::SRIOV_CONTROL) & regs::SRIOV_CONTROL_VF_ENABLE) != 0;
}

bool Sriov::memory_enabled() const {
    constexpr uint32_t kBoth = regs::SRIOV_CONTROL_VF_ENABLE | regs::SRIOV_CONTROL_VF_MEMORY_SPACE;
    return (pf_.config().u16(cap_ + regs::SRIOV_CONTROL) & kBoth) == kBoth;
}

void Sriov::num_vfs_written(const ConfigWrite& write) {
    if (enabled() || write.new_value > options_.total_vfs) {
        pf_.config().set_u16(cap_ + regs::SRIOV_NUM_VFS, static_cast<uint16_t>(write.old_value));
    }
}

void Sriov::page_size_written(const ConfigWrite& write) {
    const bool is_one_of_ours = std::has_single_bit(write.new_value) &&
                                (write.new_value & options_.supported_pages) != 0;
    if (enabled() || !is_one_of_ours) {
        pf_.config().set_u32(cap_ + regs::SRIOV_SYSTEM_PAGE_SIZE, write.old_value);
    }
    align_bars();
}

void Sriov::control_written(const ConfigWrite& write) {
    if (((write.old_value ^ write.new_value) & regs::SRIOV_CONTROL_ARI_HIERARCHY) != 0) {
        if ((write.old_value & regs::SRIOV_CONTROL_VF_ENABLE) != 0) {  // not to be changed then
            pf_.config().set_bits(cap_ + regs::SRIOV_CONTROL, 2, regs::SRIOV_CONTROL_ARI_HIERARCHY,
                                  write.old_value);
        }
        update_routing_ids();
    }
    const bool was = (write.old_value & regs::SRIOV_CONTROL_VF_ENABLE) != 0;
    const bool is = (write.new_value & regs::SRIOV_CONTROL_VF_ENABLE) != 0;
    if (is && !was) enable();
    if (was && !is) destroy_vfs();
}

void Sriov::update_routing_ids() {
    // Without ARI, devices have eight functions and one device number; VFs then have the next bus
    // for themselves, where all 256 numbers are theirs (9.2.1.2). All PFs of a device shift theirs
    // by the same distance, so VFs that do not collide in one layout do not in the other. What was
    // read from a real device has its own two offsets.
    const bool ari = (pf_.config().u16(cap_ + regs::SRIOV_CONTROL) &
                      regs::SRIOV_CONTROL_ARI_HIERARCHY) != 0;
    const bool is_shifted = options_.lowest_pf && !ari;
    const uint32_t first = is_shifted ? first_offset_without_ari(options_) : options_.first_offset;
    pf_.config().set_u16(cap_ + regs::SRIOV_FIRST_VF_OFFSET, static_cast<uint16_t>(first));
}

// A VF BAR is aligned to its size or the system page size, whichever is more (9.3.3.14); sizing
// shows the size of one VF's.
void Sriov::align_bars() {
    ConfigSpace& config = pf_.config();
    for (unsigned i = 0; i < kBarCount; ++i) {
        if (options_.vf_bars[i].type == BarType::kNone) continue;
        const uint32_t at = cap_ + regs::SRIOV_VF_BAR0 + 4 * i;
        const uint64_t below = aperture(i) - 1;
        config.set_bits(at, 4, static_cast<uint32_t>(below) & regs::BAR_MEMORY_ADDRESS, 0);
        if (options_.vf_bars[i].type == BarType::kMemory64) {
            config.set_bits(at + 4, 4, static_cast<uint32_t>(below >> 32), 0);
        }
    }
}

// --- VFs -------------------------------------------------------------------------------------

void Sriov::enable() {
    const uint32_t wanted = pf_.config().u16(cap_ + regs::SRIOV_NUM_VFS);
    if (must_wait(wanted)) return;
    for (uint32_t i = 0; i < wanted; ++i) {
        std::unique_ptr<Function> vf = pf_.make_vf(i);
        if (!vf) break;
        MIMIC_CHECK(vf->options().virtual_function);
        vf->physfn_ = &pf_;
        vf->set_observer(pf_.observer_);
        vf->set_tracer(pf_.tracer_);
        vfs_.push_back(std::move(vf));
    }
    pf_.notify({.kind = FunctionEventKind::kVfs, .value = num_vfs()});
    if (pf_.slot_ != nullptr) pf_.slot_->vfs_created(pf_);
    pf_.on_vfs_changed(num_vfs());
}

// A guest can toggle VF Enable a thousand times in a turn of the loop, in which nothing is freed,
// and VFs have descriptors and mappings of their own: there are never more than twice TotalVFs.
// Software expects to wait after it has set VF Enable (9.3.3.3.1), for much longer than a turn.
bool Sriov::must_wait(uint32_t wanted) {
    if (pf_.slot_ == nullptr || *dying_ + wanted <= 2 * size_t{options_.total_vfs}) return false;
    if (enable_later_.is_pending()) return true;
    // Behind the task that frees them.
    enable_later_.post(pf_.slot_->runner(), [this] {
        if (enabled() && vfs_.empty()) enable();
    });
    return true;
}

void Sriov::destroy_vfs() {
    if (vfs_.empty()) return;
    pf_.notify({.kind = FunctionEventKind::kVfs, .value = 0});
    pf_.on_vfs_changed(0);
    if (pf_.slot_ != nullptr) pf_.slot_->vfs_removing(pf_);
    for (const auto& vf : vfs_) {
        vf->detach();
        vf->physfn_ = nullptr;
    }
    // One of them may be further up the stack: its DMA can reach the PF.
    if (pf_.slot_ != nullptr) {
        *dying_ += vfs_.size();
        auto dead = std::make_shared<Dying>(std::move(vfs_), dying_);
        pf_.slot_->runner().post([dead]() mutable { dead.reset(); });
    }
    vfs_.clear();
}

void Sriov::registers_reset() {
    update_routing_ids();
}

void Sriov::disable() {
    pf_.config().set_bits(cap_ + regs::SRIOV_CONTROL, 2,
                          regs::SRIOV_CONTROL_VF_ENABLE | regs::SRIOV_CONTROL_VF_MEMORY_SPACE, 0);
    enable_later_.cancel();
    destroy_vfs();
}

// --- Routing ids and addresses ---------------------------------------------------------------

uint32_t Sriov::routing_id_offset(uint32_t index) const {
    const ConfigSpace& config = pf_.config();
    return config.u16(cap_ + regs::SRIOV_FIRST_VF_OFFSET) + index * options_.stride;
}

Function* Sriov::vf_at(uint32_t offset) {
    const uint32_t first = pf_.config().u16(cap_ + regs::SRIOV_FIRST_VF_OFFSET);
    const uint32_t stride = options_.stride;
    if (offset < first || (offset - first) % stride != 0) return nullptr;
    return vf((offset - first) / stride);
}

uint64_t Sriov::aperture(unsigned bar) const {
    const uint64_t page = kPageUnit * pf_.config().u32(cap_ + regs::SRIOV_SYSTEM_PAGE_SIZE);
    return std::max(options_.vf_bars[bar].size, page);
}

uint64_t Sriov::bar_base(unsigned bar) const {
    const uint32_t at = cap_ + regs::SRIOV_VF_BAR0 + 4 * bar;
    const uint64_t low = pf_.config().u32(at) & regs::BAR_MEMORY_ADDRESS;
    if (options_.vf_bars[bar].type != BarType::kMemory64) return low;
    return low | (uint64_t{pf_.config().u32(at + 4)} << 32);
}

uint64_t Sriov::vf_bar_address(const Function& vf, unsigned bar) const {
    for (size_t i = 0; i < vfs_.size(); ++i) {
        if (vfs_[i].get() == &vf) return bar_base(bar) + i * aperture(bar);
    }
    return 0;
}

std::optional<Sriov::Hit> Sriov::decode(uint64_t address) {
    if (!memory_enabled() || vfs_.empty()) return std::nullopt;
    for (unsigned bar = 0; bar < kBarCount; ++bar) {
        if (options_.vf_bars[bar].type == BarType::kNone) continue;
        const uint64_t base = bar_base(bar);
        if (address < base) continue;
        const uint64_t index = (address - base) / aperture(bar);
        if (index >= vfs_.size()) continue;
        const uint64_t start = base + index * aperture(bar);
        Function* const vf = vfs_[index].get();
        // Behind a BAR that is smaller than a page nobody answers.
        if (address - start >= options_.vf_bars[bar].size || !vf->bar_accessible(bar)) continue;
        return Hit{vf, bar, start, options_.vf_bars[bar].size};
    }
    return std::nullopt;
}

}  // namespace mimic::pci

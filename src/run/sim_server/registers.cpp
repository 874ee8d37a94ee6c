// SPDX-License-Identifier: Apache-2.0
#include "sim_server/registers.h"

#include <utility>
#include <vector>

namespace mimic::sim_server {
namespace {

constexpr uint32_t kBusy = 1u << 0;
constexpr uint32_t kReady = 1u << 1;
constexpr uint32_t kFailed = 1u << 2;
constexpr uint32_t kPeerReady = 1u << 3;
constexpr uint32_t kReset = 1u << 0;
constexpr uint32_t kTrigger = 1u << 1;

uint64_t masked(uint64_t value, unsigned size) {
    return size >= 8 ? value : value & ((uint64_t{1} << 8 * size) - 1);
}

// What both have: one operation at a time, and readers that wait for its end.
class OperationDevice : public RegisterDevice {
public:
    OperationDevice(const RegisterOptions& options, uint64_t cycles, TaskRunner& runner)
        : runner_(runner) {
        const uint64_t latency = options.latency != 0 ? options.latency : cycles;
        length_ = Duration(static_cast<int64_t>(static_cast<double>(latency) * 1e9 /
                                                static_cast<double>(options.clock_hz) *
                                                options.scale));
    }

    void write(uint64_t offset, unsigned size, uint64_t value) override {
        write_word(offset, static_cast<uint32_t>(masked(value, size)));
        if (size == 8) write_word(offset + 4, static_cast<uint32_t>(value >> 32));
    }

    void read(uint64_t offset, unsigned size, Done done) override {
        const bool both = size == 8;
        const bool result = is_result(offset) || (both && is_result(offset + 4));
        if ((status_ & kBusy) != 0 && result) {
            waiting_.push_back({offset, size, std::move(done)});
            return;
        }
        uint64_t value = read_word(offset);
        if (both) value |= uint64_t{read_word(offset + 4)} << 32;
        done(masked(value, size));
    }

    void receive(uint32_t) override {}
    void set_peer(RegisterDevice*) override {}

protected:
    virtual bool is_result(uint64_t offset) const = 0;
    virtual uint32_t read_word(uint64_t offset) = 0;
    virtual void write_word(uint64_t offset, uint32_t value) = 0;
    virtual uint32_t complete() = 0;  // and says what STATUS is then

    void begin() {
        if ((status_ & kBusy) != 0) return;  // one at a time: another is ignored, as in Linux SST
        status_ = kBusy;
        if (length_ <= Duration::zero()) return end();
        timer_.start(runner_, length_, [this] { end(); });
    }

    void stop() {
        timer_.cancel();
        status_ = 0;
        wake();
    }

    uint32_t status_ = 0;

private:
    struct Reader {
        uint64_t offset;
        unsigned size;
        Done done;
    };

    void end() {
        status_ = complete();
        wake();
    }

    void wake() {
        for (auto& reader : std::exchange(waiting_, {})) {
            read(reader.offset, reader.size, std::move(reader.done));
        }
    }

    TaskRunner& runner_;
    Duration length_{};
    std::vector<Reader> waiting_;
    Timer timer_;
};

class EchoDevice final : public OperationDevice {
public:
    EchoDevice(const RegisterOptions& options, TaskRunner& runner)
        : OperationDevice(options, 10, runner) {}

private:
    enum : uint64_t { kDataIn = 0x0, kDataOut = 0x4, kStatus = 0x8, kControl = 0xc };

    bool is_result(uint64_t offset) const override { return offset == kDataOut; }

    uint32_t read_word(uint64_t offset) override {
        switch (offset) {
            case kDataIn:
                return in_;
            case kDataOut:
                return out_;
            case kStatus:
                return status_;
            case kControl:
                return control_;
            default:
                return 0;
        }
    }

    void write_word(uint64_t offset, uint32_t value) override {
        if (offset == kDataIn) {
            in_ = value;
            begin();
        } else if (offset == kControl) {
            control_ = value & ~kReset;
            if ((value & kReset) == 0) return;
            in_ = out_ = 0;
            stop();
        }
    }

    uint32_t complete() override {
        out_ = in_;
        return kReady;
    }

    uint32_t in_ = 0;
    uint32_t out_ = 0;
    uint32_t control_ = 0;
};

class ComputeDevice final : public OperationDevice {
public:
    ComputeDevice(const RegisterOptions& options, TaskRunner& runner)
        : OperationDevice(options, 100, runner) {}

    void receive(uint32_t value) override {
        peer_in_ = value;
        status_ |= kPeerReady;
    }
    void set_peer(RegisterDevice* peer) override { peer_ = peer; }

private:
    enum : uint64_t {
        kA = 0x0,
        kB = 0x4,
        kOperation = 0x8,
        kResult = 0xc,
        kStatus = 0x10,
        kControl = 0x14,
        kPeerOut = 0x18,
        kPeerIn = 0x1c,
    };
    enum : uint32_t { kAdd, kSubtract, kMultiply, kDivide };

    bool is_result(uint64_t offset) const override { return offset == kResult; }

    uint32_t read_word(uint64_t offset) override {
        switch (offset) {
            case kA:
                return a_;
            case kB:
                return b_;
            case kOperation:
                return operation_;
            case kResult:
                return result_;
            case kStatus:
                return status_;
            case kControl:
                return control_;
            case kPeerOut:
                return peer_out_;
            case kPeerIn:
                status_ &= ~kPeerReady;
                return peer_in_;
            default:
                return 0;
        }
    }

    void write_word(uint64_t offset, uint32_t value) override {
        switch (offset) {
            case kA:
                a_ = value;
                return;
            case kB:
                b_ = value;
                return;
            case kOperation:
                operation_ = value;
                return;
            case kControl:
                return write_control(value);
            case kPeerOut:
                peer_out_ = value;
                if (peer_ != nullptr) peer_->receive(value);
                return;
            default:
                return;
        }
    }

    void write_control(uint32_t value) {
        control_ = value & ~(kReset | kTrigger);
        if ((value & kReset) != 0) {
            a_ = b_ = operation_ = result_ = peer_in_ = peer_out_ = 0;
            stop();
        } else if ((value & kTrigger) != 0) {
            begin();
        }
    }

    uint32_t complete() override {
        const uint32_t kept = status_ & kPeerReady;
        switch (operation_) {
            case kAdd:
                result_ = a_ + b_;
                return kept | kReady;
            case kSubtract:
                result_ = a_ - b_;
                return kept | kReady;
            case kMultiply:
                result_ = a_ * b_;
                return kept | kReady;
            case kDivide:
                if (b_ == 0) break;
                result_ = a_ / b_;
                return kept | kReady;
            default:
                break;
        }
        result_ = 0;
        return kept | kFailed;
    }

    RegisterDevice* peer_ = nullptr;
    uint32_t a_ = 0, b_ = 0, operation_ = 0, result_ = 0, control_ = 0, peer_out_ = 0, peer_in_ = 0;
};

}  // namespace

std::unique_ptr<RegisterDevice> RegisterDevice::create(const RegisterOptions& options,
                                                       TaskRunner& runner) {
    if (options.kind == DeviceKind::kEcho) return std::make_unique<EchoDevice>(options, runner);
    return std::make_unique<ComputeDevice>(options, runner);
}

}  // namespace mimic::sim_server

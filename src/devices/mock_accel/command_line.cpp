// SPDX-License-Identifier: Apache-2.0
#include "devices/mock_accel/command_line.h"

#include <array>
#include <charconv>
#include <optional>
#include <utility>

namespace mimic::mock_accel {
namespace {

// Defaults of mock-device.
constexpr std::string_view kDefaultIdentifier = "MOCK-0000-0001";
constexpr uint32_t kDefaultTotalVfs = 4;

struct OptionSpec {
    char letter;
    std::string_view long_name;  // without the dashes; empty: none
    bool takes_value;
};

// Letters of options without a short form are never typed: only a long name finds them.
constexpr char kVf = 1;
constexpr char kVfIndex = 2;
constexpr char kTotalVfs = 3;
constexpr char kVersion = 4;

constexpr std::array<OptionSpec, 8> kOptions = {{
    {'v', "", false},
    {'u', "", true},
    {'m', "", true},
    {'h', "help", false},
    {kVf, "vf", false},
    {kVfIndex, "vf-index", true},
    {kTotalVfs, "total-vfs", true},
    {kVersion, "version", false},
}};

constexpr std::string_view kUsage =
    R"(Usage: mock-accel-server [OPTIONS] <socket-path>

Serves one mock accelerator on a vfio-user socket.

Options:
  -v              Enable verbose logging
  -u UUID         Device UUID, or a label of up to 63 printable characters
                  (default: MOCK-0000-0001)
  -m SIZE         Memory size, e.g., 16G (default: 16G for PF, 2G for VF)
  --vf            Run as Virtual Function (Device ID 0x0002)
  --vf-index N    Index of the VF in its PF, 0 to 6 (default: 0)
  --total-vfs N   Total VFs supported by PF (default: 4, max: 7)
  -h, --help      Show this text
  --version       Show the version
)";

template <typename... Args>
tl::unexpected<Error> bad(fmt::format_string<Args...> format, Args&&... args) {
    return fail(std::errc::invalid_argument, format, std::forward<Args>(args)...);
}

/// A decimal number of at most `max`.
Result<uint32_t> parse_count(std::string_view option, std::string_view text, uint32_t max) {
    uint32_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || text.empty() || value > max) {
        return bad("{} needs a number from 0 to {}, not '{}'", option, max, text);
    }
    return value;
}

/// The long option that `name` is, or begins as the only one.
Result<const OptionSpec*> find_long(std::string_view name) {
    const OptionSpec* found = nullptr;
    if (name.empty()) return bad("unknown option '--'; see --help");
    for (const OptionSpec& spec : kOptions) {
        if (spec.long_name.empty() || !spec.long_name.starts_with(name)) continue;
        if (spec.long_name == name) return &spec;
        if (found)
            return bad("--{} is ambiguous: --{} or --{}", name, found->long_name, spec.long_name);
        found = &spec;
    }
    if (!found) return bad("unknown option '--{}'; see --help", name);
    return found;
}

/// Collects what the arguments say, then makes a CommandLine of it.
class Parser {
public:
    explicit Parser(std::span<const std::string_view> arguments) : arguments_(arguments) {}

    Result<CommandLine> run() {
        bool options_ended = false;
        while (next_ < arguments_.size() && line_.action == CommandLine::Action::kServe) {
            const std::string_view argument = arguments_[next_++];
            if (options_ended || argument == "-" || !argument.starts_with('-')) {
                MIMIC_TRY(take_path(argument));
            } else if (argument == "--") {
                options_ended = true;
            } else if (argument.starts_with("--")) {
                MIMIC_TRY(take_long(argument.substr(2)));
            } else {
                MIMIC_TRY(take_short(argument.substr(1)));
            }
        }
        return finish();
    }

private:
    Status take_path(std::string_view path) {
        if (path_) return bad("two socket paths, '{}' and '{}'", *path_, path);
        if (path.empty()) return bad("the socket path is empty");
        path_ = path;
        return {};
    }

    Result<std::string_view> next_value(std::string_view option) {
        if (next_ >= arguments_.size()) return bad("{} needs a value", option);
        return arguments_[next_++];
    }

    Status take_long(std::string_view argument) {
        const size_t equals = argument.find('=');
        MIMIC_ASSIGN_OR_RETURN(const OptionSpec* spec, find_long(argument.substr(0, equals)));
        const std::string name = fmt::format("--{}", spec->long_name);
        std::string_view value;
        if (equals != std::string_view::npos) {
            if (!spec->takes_value) return bad("{} takes no value", name);
            value = argument.substr(equals + 1);
        } else if (spec->takes_value) {
            MIMIC_ASSIGN_OR_RETURN(value, next_value(name));
        }
        return apply(*spec, name, value);
    }

    /// "-v", "-vu UUID", "-uUUID".
    Status take_short(std::string_view letters) {
        while (!letters.empty() && line_.action == CommandLine::Action::kServe) {
            const char letter = letters.front();
            letters.remove_prefix(1);
            const OptionSpec* spec = nullptr;
            for (const OptionSpec& candidate : kOptions) {
                if (candidate.letter == letter && letter > kVersion) spec = &candidate;
            }
            if (!spec) return bad("unknown option '-{}'; see --help", printable(letter));
            std::string_view value;
            if (spec->takes_value && letters.empty()) {
                MIMIC_ASSIGN_OR_RETURN(value, next_value(fmt::format("-{}", letter)));
            } else if (spec->takes_value) {
                value = std::exchange(letters, {});
            }
            MIMIC_TRY(apply(*spec, fmt::format("-{}", letter), value));
        }
        return {};
    }

    static char printable(char letter) { return letter > 0x20 && letter < 0x7f ? letter : '?'; }

    Status apply(const OptionSpec& spec, const std::string& name, std::string_view value) {
        switch (spec.letter) {
            case 'v':
                line_.verbose = true;
                return {};
            case 'h':
                line_.action = CommandLine::Action::kHelp;
                return {};
            case kVersion:
                line_.action = CommandLine::Action::kVersion;
                return {};
            case kVf:
                line_.device.role = StaticVf{};
                return {};
            case 'u':
                return take_identifier(value);
            case 'm':
                return take_memory(value);
            case kVfIndex:
                return take_number(name, value, kMaxVfs - 1, vf_index_);
            case kTotalVfs:
                return take_number(name, value, kMaxVfs, total_vfs_);
            default:
                return bad("unknown option '{}'", name);
        }
    }

    static Status take_number(std::string_view name, std::string_view value, uint32_t max,
                              std::optional<uint32_t>& out) {
        MIMIC_ASSIGN_OR_RETURN(out, parse_count(name, value, max));
        return {};
    }

    Status take_identifier(std::string_view value) {
        auto identifier = parse_identifier(value);
        if (!identifier) {
            return tl::unexpected<Error>(std::move(identifier).error().with_context("-u"));
        }
        line_.device.identifier = value;
        return {};
    }

    Status take_memory(std::string_view value) {
        auto size = parse_size(value);
        if (!size) return tl::unexpected<Error>(std::move(size).error().with_context("-m"));
        memory_ = *size;
        return {};
    }

    Result<CommandLine> finish() {
        if (line_.action != CommandLine::Action::kServe) return std::move(line_);
        if (!path_) return bad("the socket path is missing; see --help");
        const bool is_pf = !line_.device.is_vf();
        line_.socket_path = *path_;
        line_.device.name = *path_;
        if (line_.device.identifier.empty()) line_.device.identifier = kDefaultIdentifier;
        line_.device.memory_size_bytes = memory_.value_or(is_pf ? kDefaultPfMemoryBytes
                                                                : kDefaultVfMemoryBytes);
        if (is_pf) {
            line_.device.role = Pf{.vfs = StaticVfs{total_vfs_.value_or(kDefaultTotalVfs)}};
            if (vf_index_) line_.warnings.push_back("--vf-index is ignored without --vf.");
        } else {
            line_.device.role = StaticVf{vf_index_.value_or(0)};
            if (total_vfs_) line_.warnings.push_back("--total-vfs is ignored with --vf.");
        }
        return std::move(line_);
    }

    std::span<const std::string_view> arguments_;
    size_t next_ = 0;
    CommandLine line_;
    std::optional<std::string> path_;
    std::optional<uint64_t> memory_;
    std::optional<uint32_t> vf_index_;
    std::optional<uint32_t> total_vfs_;
};

/// How many bits a size suffix shifts by, or nullopt for a character that is none.
std::optional<unsigned> suffix_shift(char suffix) {
    switch (suffix) {
        case 'K':
        case 'k':
            return 10;
        case 'M':
        case 'm':
            return 20;
        case 'G':
        case 'g':
            return 30;
        case 'T':
        case 't':
            return 40;
        default:
            return std::nullopt;
    }
}

}  // namespace

Result<uint64_t> parse_size(std::string_view text) {
    const auto unreadable = [&] {
        return bad("'{}' is no size; expected bytes, or a number with K, M, G or T, as 16G", text);
    };
    uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error == std::errc::invalid_argument) return unreadable();
    const std::string_view suffix(end, static_cast<size_t>(text.data() + text.size() - end));
    const auto shift = suffix.empty() ? std::optional<unsigned>(0) : suffix_shift(suffix.front());
    if (suffix.size() > 1 || !shift) return unreadable();
    if (error == std::errc::result_out_of_range || value > (~uint64_t{0} >> *shift)) {
        return fail(std::errc::result_out_of_range, "size '{}' has more than 64 bits", text);
    }
    if (value == 0) return bad("size '{}' is 0", text);
    return value << *shift;
}

Result<CommandLine> parse_command_line(std::span<const std::string_view> arguments) {
    return Parser(arguments).run();
}

Result<CommandLine> parse_command_line(int argc, char* const argv[]) {
    std::vector<std::string_view> arguments;
    for (int i = 1; i < argc; ++i) arguments.emplace_back(argv[i]);
    return parse_command_line(arguments);
}

std::string_view usage() {
    return kUsage;
}

}  // namespace mimic::mock_accel

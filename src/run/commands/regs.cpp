// SPDX-License-Identifier: Apache-2.0
#include "commands/regs.h"

#include <fmt/chrono.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <nlohmann/json.hpp>
#include <set>

#include "base/command_report.h"
#include "base/interrupt.h"
#include "commands/register_dump.h"
#include "commands/screen.h"
#include "commands/terminal_text.h"
#include "gateway/api_client.h"
#include "service/peer_json.h"

namespace mimic::commands {
namespace {

using namespace std::chrono_literals;
using Json = nlohmann::ordered_json;

constexpr size_t kShownChanges = 500;  // arbitrary: what --watch keeps of the past
constexpr auto kHighlight = 3s;        // how long a change stands out

int complain(const Error& error) {
    report_error(terminal_text(error.message(), 1000));
    return 1;
}

Result<std::string> target_of(const RegsOptions& options) {
    MIMIC_ASSIGN_OR_RETURN(const auto device,
                           gateway::ApiClient::device_path(options.machine, options.device));
    std::string target = device + "/registers";
    if (options.config || options.hex) return target + "?view=config";
    if (options.bar) target += fmt::format("?view=bars&bar={}", *options.bar);
    return target;
}

// "12:00:01.234", in local time.
std::string clock_text() {
    const auto now = std::chrono::system_clock::now();
    const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
    std::tm local{};
    ::localtime_r(&seconds, &local);
    const auto millis =
        std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count() %
        1000;
    return fmt::format("{:02}:{:02}:{:02}.{:03}", local.tm_hour, local.tm_min, local.tm_sec,
                       millis);
}

bool print_line(const std::string& line) {
    return std::fputs((line + "\n").c_str(), stdout) >= 0 && std::fflush(stdout) == 0;
}

int print_once(const RegsOptions& options, const Json& json) {
    if (options.json) {
        return print_line(json.dump(2, ' ', false, Json::error_handler_t::replace)) ? 0 : 1;
    }
    const auto dump = read_register_dump(json);
    if (!dump) return complain(dump.error());
    if (options.hex) {
        for (const auto& line : hex_lines(dump->config))
            if (!print_line(line)) return 1;
        return 0;
    }
    DumpStyle style;
    style.docs = options.docs;
    for (const auto& line : dump_lines(*dump, style))
        if (!print_line(line.text)) return 1;
    return 0;
}

// Looks again and again; what became of it is for show().
class Watch {
public:
    Watch(const RegsOptions& options, const gateway::ApiClient& client, std::string target)
        : options_(options), client_(client), target_(std::move(target)) {}
    virtual ~Watch() = default;

    // Status of the program.
    int run(RegisterDump first) {
        dump_ = std::move(first);
        show({});
        while (interrupted() == 0 && !ended_) {
            if (!pause(*options_.watch) || interrupted() != 0) break;
            auto now = look();
            if (!now && now.error().code() == std::errc::no_such_file_or_directory)
                return give_up(now.error());
            if (!now) {
                tell(now.error().message());
                continue;
            }
            silent_.clear();
            const auto changes = compare_dumps(dump_, *now);
            dump_ = std::move(*now);
            show(changes);
        }
        return 0;
    }

protected:
    virtual void show(const std::vector<RegisterChange>& changes) = 0;
    virtual void note(const std::string& line) = 0;
    // Waits; false: the user has seen enough.
    virtual bool pause(Duration time) = 0;
    virtual int give_up(const Error& error) { return complain(error); }

    const RegisterDump& dump() const { return dump_; }
    const RegsOptions& options() const { return options_; }
    void end() { ended_ = true; }

private:
    Result<RegisterDump> look() {
        MIMIC_ASSIGN_OR_RETURN(const auto json, client_.get(target_));
        return read_register_dump(json);
    }
    // A host that hangs says so once.
    void tell(const std::string& problem) {
        if (problem != silent_) note(terminal_text(problem, 500));
        silent_ = problem;
    }

    const RegsOptions& options_;
    const gateway::ApiClient& client_;
    const std::string target_;
    RegisterDump dump_;
    std::string silent_;
    bool ended_ = false;
};

// A line a change, for pipes and files.
class LineWatch final : public Watch {
public:
    using Watch::Watch;

private:
    void show(const std::vector<RegisterChange>& changes) override {
        const std::string time = clock_text();
        for (const auto& change : changes) {
            if (!print_line(options().json ? json_line(time, change.line)
                                           : time + " " + change.line))
                end();
        }
    }
    void note(const std::string& line) override {
        std::fputs(fmt::format("{} {}\n", clock_text(), line).c_str(), stderr);
    }
    bool pause(Duration time) override {
        sleep_unless_interrupted(time);
        return true;
    }
    static std::string json_line(const std::string& time, const std::string& change) {
        return Json{{"time", time}, {"change", change}}.dump(-1, ' ', false,
                                                             Json::error_handler_t::replace);
    }
};

// The whole screen, with what changed a moment ago marked and the last changes below.
class ScreenWatch final : public Watch {
public:
    ScreenWatch(const RegsOptions& options, const gateway::ApiClient& client, std::string target,
                std::unique_ptr<Screen> screen)
        : Watch(options, client, std::move(target)), screen_(std::move(screen)) {
        const char* const no_color = std::getenv("NO_COLOR");  // NOLINT(concurrency-mt-unsafe)
        plain_ = no_color != nullptr && *no_color != '\0';
    }

private:
    using Clock = std::chrono::steady_clock;
    struct Mark {
        size_t part;
        size_t reg;
        Clock::time_point until;
    };

    void show(const std::vector<RegisterChange>& changes) override {
        const auto now = Clock::now();
        std::erase_if(marks_, [now](const Mark& mark) { return mark.until <= now; });
        for (const auto& change : changes) {
            note(change.line);
            if (change.part != DumpLine::kNone)
                marks_.push_back({change.part, change.reg, now + kHighlight});
        }
        draw();
    }
    void note(const std::string& line) override {
        log_.push_back(clock_text() + " " + line);
        if (log_.size() > kShownChanges) log_.pop_front();
    }
    int give_up(const Error& error) override {
        screen_.reset();
        return complain(error);
    }

    bool pause(Duration time) override {
        const auto end = Clock::now() + time;
        while (Clock::now() < end && interrupted() == 0) {
            const auto key = screen_->key(std::min<Duration>(end - Clock::now(), 250ms));
            if (!key) continue;
            if (*key == 'q') return false;
            scroll_.move(*key, lines_, body_rows());
            draw();
        }
        return true;
    }

    // The heading, the body, a rule and up to a quarter of the screen for changes.
    size_t log_rows() const { return std::min(log_.size(), screen_->rows() / 4); }
    size_t body_rows() const {
        const size_t others = 2 + log_rows();
        return screen_->rows() > others ? screen_->rows() - others : 1;
    }

    void draw() {
        DumpStyle style;
        style.docs = options().docs;
        style.columns = std::max<size_t>(screen_->columns(), 20) - 2;
        const auto all = dump_lines(dump(), style);
        lines_ = all.size();
        scroll_.clamp(lines_, body_rows());
        std::set<std::pair<size_t, size_t>> marked;
        for (const auto& mark : marks_) marked.emplace(mark.part, mark.reg);
        std::vector<ScreenLine> out;
        out.push_back({fmt::format("{} {}   {}   arrows: scroll   q: quit", options().machine,
                                   dump().device, clock_text()),
                       LineLook::kReverse});
        for (size_t i = scroll_.first(); i < std::min(lines_, scroll_.first() + body_rows()); ++i) {
            const bool changed = marked.contains({all[i].part, all[i].reg});
            const bool heading = all[i].reg == DumpLine::kNone;
            const LineLook look = changed && !plain_   ? LineLook::kReverse
                                  : heading && !plain_ ? LineLook::kBold
                                                       : LineLook::kNormal;
            out.push_back({(changed ? "* " : "  ") + all[i].text, look});
        }
        while (out.size() < 1 + body_rows()) out.emplace_back();
        out.push_back({fmt::format("changes: {}", log_.size()), LineLook::kReverse});
        for (size_t i = log_.size() - log_rows(); i < log_.size(); ++i) out.push_back({log_[i]});
        screen_->draw(out);
    }

    std::unique_ptr<Screen> screen_;
    std::vector<Mark> marks_;
    std::deque<std::string> log_;
    Scroll scroll_;
    size_t lines_ = 0;
    bool plain_ = false;
};

int watch(const RegsOptions& options, const gateway::ApiClient& client, const std::string& target,
          const Json& first) {
    auto dump = read_register_dump(first);
    if (!dump) return complain(dump.error());
    if (!options.json) {
        if (auto screen = Screen::open(); screen)
            return ScreenWatch(options, client, target, std::move(*screen)).run(std::move(*dump));
    }
    return LineWatch(options, client, target).run(std::move(*dump));
}

// Somebody who gave no device wants to know which there are.
int name_devices(const RegsOptions& options, const gateway::ApiClient& client) {
    const auto machine = gateway::ApiClient::machine_path(options.machine);
    if (!machine) return complain(machine.error());
    const auto answer = client.get(*machine + "/devices");
    if (!answer) return complain(answer.error());
    const auto* const devices = service::find_member(*answer, "devices");
    std::vector<std::string> names;
    if (devices != nullptr && devices->is_array())
        for (const Json& device : *devices) names.push_back(service::string_member(device, "name"));
    std::sort(names.begin(), names.end());
    if (options.json) return print_line(Json(names).dump(2)) ? 0 : 1;
    for (const auto& name : names)
        if (!print_line(terminal_text(name))) return 1;
    return 0;
}

}  // namespace

int run_regs(const RegsOptions& options) {
    const auto client = gateway::ApiClient::open();
    if (!client) return complain(client.error());
    if (options.device.empty()) return name_devices(options, *client);
    const auto target = target_of(options);
    if (!target) return complain(target.error());
    if (options.watch) catch_interrupts();
    const auto json = client->get(*target);
    if (!json) return complain(client->with_devices(options.machine, options.device, json.error()));
    return options.watch ? watch(options, *client, *target, *json) : print_once(options, *json);
}

}  // namespace mimic::commands

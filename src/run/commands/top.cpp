// SPDX-License-Identifier: Apache-2.0
#include "commands/top.h"

#include <time.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/command_report.h"
#include "base/interrupt.h"
#include "base/text_table.h"
#include "commands/screen.h"
#include "commands/terminal_text.h"
#include "commands/top_model.h"
#include "gateway/api_client.h"

namespace mimic::commands {
namespace {

using namespace std::chrono_literals;
using Json = nlohmann::ordered_json;

constexpr size_t kTableColumns = 200;  // of a table that goes to a file: as wide as it needs

int report(const Error& error) {
    report_error(terminal_text(error.message(), 1000));
    return 1;
}

int64_t monotonic_ns() {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

// Asks for all that one sample has.
class Sampler {
public:
    Sampler(const TopOptions& options, const gateway::ApiClient& client)
        : options_(options), client_(client) {}

    // Errors: an unknown machine that was asked for by name.
    Result<TopSample> take() const {
        TopSample sample;
        sample.time_ns = monotonic_ns();
        if (options_.machines.empty()) {
            MIMIC_ASSIGN_OR_RETURN(const auto json, client_.get("/v1/machines"));
            const auto list = json.find("machines");
            if (list == json.end() || !list->is_array()) return sample;
            for (const auto& one : *list) {
                if (one.is_object()) sample.machines.push_back(machine_of(one));
            }
        } else {
            for (const auto& name : options_.machines) {
                MIMIC_ASSIGN_OR_RETURN(const auto path, gateway::ApiClient::machine_path(name));
                MIMIC_ASSIGN_OR_RETURN(const auto json, client_.get(path));
                sample.machines.push_back(machine_of(json));
            }
        }
        // Counters and their time belong together, so nothing else is asked in between.
        sample.time_ns = monotonic_ns();
        for (auto& machine : sample.machines) add_devices(machine);
        return sample;
    }

private:
    static TopMachine machine_of(const Json& json) {
        TopMachine machine;
        const auto text = [&json](const char* key) {
            const auto found = json.find(key);
            return found != json.end() && found->is_string()
                       ? terminal_text(found->get<std::string>(), 63)
                       : std::string();
        };
        machine.name = text("name");
        machine.state = text("state");
        machine.problem = text("reason");
        return machine;
    }

    void add_devices(TopMachine& machine) const {
        const auto path = gateway::ApiClient::machine_path(machine.name);
        if (!path) return;
        const auto json = client_.get(*path + "/devices");
        if (!json) {
            machine.problem = terminal_text(json.error().message());
            return;
        }
        machine.devices = read_top_devices(*json);
        const auto silent = json->find("unreachable");
        if (silent != json->end() && silent->is_array() && !silent->empty())
            machine.problem = fmt::format("{} of its processes do not answer", silent->size());
    }

    const TopOptions& options_;
    const gateway::ApiClient& client_;
};

int print_table(const TopOptions& options, const TopModel& model) {
    TopView view;
    view.sort = TopSort::kName;
    view.fold_vfs = false;
    const auto rows = model.rows(view);
    if (options.json) {
        const std::string text = top_json(rows).dump(2, ' ', false, Json::error_handler_t::replace);
        return std::puts(text.c_str()) < 0 ? 1 : 0;
    }
    for (const auto& line : top_lines(rows, kTableColumns)) {
        if (std::puts(line.c_str()) < 0) return 1;
    }
    return 0;
}

int run_once(const TopOptions& options, const Sampler& sampler) {
    TopModel model;
    for (int i = 0; i < 2; ++i) {
        if (i != 0) sleep_unless_interrupted(options.interval);
        if (interrupted() != 0) return 1;
        auto sample = sampler.take();
        if (!sample) return report(sample.error());
        model.update(std::move(*sample));
    }
    return print_table(options, model);
}

constexpr const char* kHelp[] = {
    "mimic top: machines and devices, what they do in a second",
    "",
    "  a  sort by accesses of configuration space and BARs",
    "  i  sort by interrupts",
    "  d  sort by bytes of DMA",
    "  f  sort by faults: armed or active + struck",
    "  n  sort by name",
    "  v  show VFs, or let them count for their PF",
    "  /  show only names, BDFs and kinds with a text; Enter keeps it, Escape drops it",
    "  arrows, Page Up and Down, Home, End  scroll",
    "  q  quit",
    "",
    "Any key goes back.",
};

// The screen of `mimic top`.
class TopScreen {
public:
    TopScreen(const TopOptions& options, const Sampler& sampler, std::unique_ptr<Screen> screen)
        : options_(options), sampler_(sampler), screen_(std::move(screen)) {}

    int run() {
        while (interrupted() == 0) {
            auto sample = sampler_.take();
            if (!sample && sample.error().code() == std::errc::no_such_file_or_directory) {
                screen_.reset();
                return report(sample.error());
            }
            problem_ = sample ? "" : terminal_text(sample.error().message());
            if (sample) model_.update(std::move(*sample));
            draw();
            if (!keys_until(Clock::now() + options_.interval)) break;
        }
        return 0;
    }

private:
    using Clock = std::chrono::steady_clock;

    // False: quit.
    bool keys_until(Clock::time_point end) {
        while (Clock::now() < end && interrupted() == 0) {
            const auto key = screen_->key(std::min<Duration>(end - Clock::now(), 250ms));
            if (!key) continue;
            if (typing_) {
                type(*key);
            } else if (help_) {
                help_ = *key == keys::kResize;
            } else if (!command(*key)) {
                return false;
            }
            draw();
        }
        return true;
    }

    bool command(int key) {
        switch (key) {
            case 'q':
                return false;
            case 'h':
            case '?':
                help_ = true;
                break;
            case 'a':
                view_.sort = TopSort::kAccesses;
                break;
            case 'i':
                view_.sort = TopSort::kInterrupts;
                break;
            case 'd':
                view_.sort = TopSort::kDma;
                break;
            case 'f':
                view_.sort = TopSort::kFaults;
                break;
            case 'n':
                view_.sort = TopSort::kName;
                break;
            case 'v':
                view_.fold_vfs = !view_.fold_vfs;
                break;
            case '/':
                typing_ = true;
                break;
            case keys::kEscape:
                view_.filter.clear();
                break;
            default:
                scroll_.move(key, lines_, body_rows());
        }
        return true;
    }

    void type(int key) {
        if (key == keys::kEnter) typing_ = false;
        if (key == keys::kEscape) {
            typing_ = false;
            view_.filter.clear();
        }
        if (key == keys::kBackspace && !view_.filter.empty()) view_.filter.pop_back();
        if (key >= ' ' && key < 0x7f && view_.filter.size() < 63)
            view_.filter += static_cast<char>(key);
    }

    // All but the line of totals, the heading and the last line.
    size_t body_rows() const { return screen_->rows() > 3 ? screen_->rows() - 3 : 1; }

    std::string status_line() const {
        if (typing_) return "/" + view_.filter + "_";
        if (!problem_.empty()) return problem_;
        static constexpr const char* kSorts[] = {"name", "accesses", "interrupts", "dma", "faults"};
        return fmt::format("sort: {}  VFs: {}{}  q quit  h help",
                           kSorts[static_cast<size_t>(view_.sort)],
                           view_.fold_vfs ? "folded" : "shown",
                           view_.filter.empty() ? "" : "  filter: " + view_.filter);
    }

    void draw() {
        std::vector<ScreenLine> out;
        if (help_) {
            for (const char* line : kHelp) out.push_back({line});
            screen_->draw(out);
            return;
        }
        const auto rows = model_.rows(view_);
        const auto lines = top_lines(rows, screen_->columns());
        lines_ = rows.size();
        scroll_.clamp(lines_, body_rows());
        out.push_back(
            {fmt::format("mimic top: {}, {}, every {:.1f} s", counted(model_.machines(), "machine"),
                         counted(model_.devices(), "device"),
                         std::chrono::duration<double>(options_.interval).count()),
             LineLook::kBold});
        out.push_back({fit(lines[0], screen_->columns()), LineLook::kReverse});
        for (size_t i = 0; i < body_rows(); ++i) {
            const size_t row = scroll_.first() + i;
            if (row >= rows.size()) {
                out.emplace_back();
                continue;
            }
            out.push_back(
                {lines[row + 1], rows[row].depth == 0 ? LineLook::kBold : LineLook::kNormal});
        }
        out.push_back({fit(status_line(), screen_->columns()), LineLook::kReverse});
        screen_->draw(out);
    }

    const TopOptions& options_;
    const Sampler& sampler_;
    std::unique_ptr<Screen> screen_;
    TopModel model_;
    TopView view_;
    Scroll scroll_;
    size_t lines_ = 0;
    bool help_ = false;
    bool typing_ = false;
    std::string problem_;
};

}  // namespace

int run_top(const TopOptions& options) {
    const auto client = gateway::ApiClient::open();
    if (!client) return report(client.error());
    catch_interrupts();
    const Sampler sampler(options, *client);
    if (options.once || options.json) return run_once(options, sampler);
    auto screen = Screen::open();
    if (!screen) return run_once(options, sampler);
    return TopScreen(options, sampler, std::move(*screen)).run();
}

}  // namespace mimic::commands

// SPDX-License-Identifier: Apache-2.0
#include "mediator/schedule/simulate/load.h"

#include <algorithm>
#include <fstream>
#include <iostream>
#include <map>
#include <set>

#include <nlohmann/json.hpp>

#include "mediator/config/keys.h"
#include "mediator/schedule/simulate/load_fields.h"
#include "mediator/schedule/time_units.h"

namespace mimic::mediator::schedule {
namespace {

using LoadJson = nlohmann::ordered_json;

// What a file has said so far.
class LoadReader {
public:
    Status line(const LoadJson& json) {
        if (!begun_) return header(json);
        if (json.contains("client")) return client(json);
        if (json.contains("submit")) return submit(json);
        if (json.contains("set")) return set(json);
        if (json.contains("vm")) return vm(json);
        return fail(std::errc::invalid_argument,
                    "a line has one of the members vm, client, submit and set");
    }

    bool begun() const { return begun_; }
    Load take() { return std::move(load_); }

private:
    Status header(const LoadJson& json) {
        LoadFields fields(json);
        const auto version = fields.number("mimic_load", 1, UINT32_MAX);
        if (version && *version != 1)
            return fail(std::errc::not_supported,
                        "the load is of format {}, this program reads format 1", *version);
        load_.name = fields.text("name").value_or("");
        if (const auto count = fields.number("backends", 1, kMaxLoadBackends, false))
            load_.backends = static_cast<uint32_t>(*count);
        if (const auto us = fields.number("duration_us", 1, kMaxLoadTime / kUs))
            load_.duration = static_cast<Time>(*us) * kUs;
        if (const auto seed = fields.number("seed", 0, UINT64_MAX, false)) load_.seed = *seed;
        load_.strict_classes = fields.flag("strict_classes").value_or(false);
        begun_ = true;
        return fields.end();
    }

    Status vm(const LoadJson& json) {
        LoadFields fields(json);
        LoadVm made;
        made.id = static_cast<VmId>(fields.number("vm", 0, UINT32_MAX).value_or(0));
        fields.share(made.share);
        if (const auto home = fields.number("home", 0, load_.backends - 1, false))
            made.home = static_cast<BackendIndex>(*home);
        MIMIC_TRY(fields.end());
        if (load_.vms.size() == kMaxLoadVms)
            return fail(std::errc::invalid_argument, "more than {} VMs", kMaxLoadVms);
        if (!shares_.emplace(made.id, made.share).second)
            return fail(std::errc::invalid_argument, "VM {} is there already", made.id);
        load_.vms.push_back(made);
        return {};
    }

    Status client(const LoadJson& json) {
        LoadFields fields(json);
        LoadClient made;
        made.vm = static_cast<VmId>(fields.number("client", 0, UINT32_MAX).value_or(0));
        if (const auto depth = fields.number("depth", 1, kMaxLoadDepth, false))
            made.depth = static_cast<uint32_t>(*depth);
        if (const auto job = fields.lengths("job_us", 1, kMaxLoadJob / kUs, true)) made.job = *job;
        if (const auto think = fields.lengths("think_us", 0, kMaxLoadTime / kUs, false))
            made.think = *think;
        if (const auto from = fields.number("from_us", 0, kMaxLoadTime / kUs, false))
            made.from = static_cast<Time>(*from) * kUs;
        if (const auto until = fields.number("until_us", 0, kMaxLoadTime / kUs, false))
            made.until = static_cast<Time>(*until) * kUs;
        MIMIC_TRY(fields.end());
        MIMIC_TRY(known(made.vm));
        if (load_.clients.size() == kMaxLoadClients)
            return fail(std::errc::invalid_argument, "more than {} clients", kMaxLoadClients);
        load_.clients.push_back(std::move(made));
        return {};
    }

    Status submit(const LoadJson& json) {
        LoadFields fields(json);
        LoadEvent event;
        event.vm = static_cast<VmId>(fields.number("submit", 0, UINT32_MAX).value_or(0));
        event.at = at(fields);
        if (const auto job = fields.number("job_us", 1, kMaxLoadJob / kUs))
            event.job = static_cast<Time>(*job) * kUs;
        MIMIC_TRY(fields.end());
        return add(event);
    }

    Status set(const LoadJson& json) {
        LoadFields fields(json);
        LoadEvent event;
        event.vm = static_cast<VmId>(fields.number("set", 0, UINT32_MAX).value_or(0));
        event.at = at(fields);
        const auto old = shares_.find(event.vm);
        Share share = old == shares_.end() ? Share{} : old->second;
        fields.share(share);
        MIMIC_TRY(fields.end());
        event.share = share;
        MIMIC_TRY(add(event));
        shares_[event.vm] = share;
        return {};
    }

    Time at(LoadFields& fields) {
        return static_cast<Time>(fields.number("at_us", 0, kMaxLoadTime / kUs).value_or(0)) * kUs;
    }

    Status add(const LoadEvent& event) {
        MIMIC_TRY(known(event.vm));
        if (!load_.events.empty() && event.at < load_.events.back().at)
            return fail(std::errc::invalid_argument, "at_us goes back, from {} to {}",
                        load_.events.back().at / kUs, event.at / kUs);
        load_.events.push_back(event);
        return {};
    }

    Status known(VmId vm) const {
        if (shares_.contains(vm)) return {};
        return fail(std::errc::invalid_argument, "there is no VM {} before this line", vm);
    }

    bool begun_ = false;
    Load load_;
    std::map<VmId, Share> shares_;  // as of the last line
};

tl::unexpected<Error> bad_line(const std::string& name, size_t line, const Error& error) {
    return tl::unexpected<Error>(
        Error(error.code(), fmt::format("{}: line {}: {}", name, line, error.message())));
}

// Reads one line without its end. False at the end of the file.
Result<bool> read_line(std::istream& in, std::string& line) {
    line.clear();
    for (int c = in.get(); c != std::istream::traits_type::eof(); c = in.get()) {
        if (c == '\n') return true;
        if (line.size() == kMaxLoadLine)
            return fail(std::errc::invalid_argument, "longer than {} bytes", kMaxLoadLine);
        line.push_back(static_cast<char>(c));
    }
    if (in.bad()) return fail(std::errc::io_error, "cannot be read");
    if (!line.empty())
        return fail(std::errc::invalid_argument, "ends without a newline: the file is cut off");
    return false;
}

LoadJson lengths_json(const Lengths& lengths) {
    if (lengths.range) return {{"from", lengths.of[0] / kUs}, {"to", lengths.of[1] / kUs}};
    if (lengths.of.size() == 1) return lengths.of[0] / kUs;
    LoadJson list = LoadJson::array();
    for (const Time length : lengths.of) list.push_back(length / kUs);
    return list;
}

void add_share(LoadJson& json, const Share& share) {
    json["weight"] = share.weight;
    json["priority"] = kPriorities[static_cast<size_t>(share.priority)];
    json["parallel"] = share.parallel;
}

}  // namespace

Time Lengths::draw(Random& random) const {
    if (range) return random.between(of[0], of[1]);
    return of.size() == 1 ? of[0] : of[random.below(of.size())];
}

Result<Load> read_load(std::istream& in, const std::string& name) {
    LoadReader reader;
    std::string text;
    for (size_t number = 1;; ++number) {
        const auto more = read_line(in, text);
        if (!more) return bad_line(name, number, more.error());
        if (!*more && reader.begun()) return reader.take();
        if (!*more) return bad_line(name, number, Error(std::errc::invalid_argument, "no header"));
        if (number > kMaxLoadLines)
            return bad_line(name, number,
                            Error(std::errc::invalid_argument,
                                  fmt::format("more than {} lines", kMaxLoadLines)));
        // Lines without content and comments are for people.
        if (text.empty() || text.front() == '#') continue;
        const auto json = parse_load_line(text);
        if (!json) return bad_line(name, number, json.error());
        if (const auto done = reader.line(*json); !done)
            return bad_line(name, number, done.error());
    }
}

Result<Load> read_load_file(const std::string& path) {
    if (path == "-") return read_load(std::cin, "stdin");
    std::ifstream in(path, std::ios::binary);
    if (!in) return fail_errno("open {}", path);
    return read_load(in, path);
}

std::string write_load(const Load& load) {
    std::string text;
    const auto add = [&text](const LoadJson& json) {
        text += json.dump(-1, ' ', true, LoadJson::error_handler_t::replace) + "\n";
    };
    add({{"mimic_load", 1},
         {"name", load.name},
         {"backends", load.backends},
         {"duration_us", load.duration / kUs},
         {"seed", load.seed},
         {"strict_classes", load.strict_classes}});
    for (const LoadVm& vm : load.vms) {
        LoadJson json = {{"vm", vm.id}};
        add_share(json, vm.share);
        if (vm.home) json["home"] = *vm.home;
        add(json);
    }
    for (const LoadClient& client : load.clients)
        add({{"client", client.vm},
             {"depth", client.depth},
             {"job_us", lengths_json(client.job)},
             {"think_us", lengths_json(client.think)},
             {"from_us", client.from / kUs},
             {"until_us", client.until / kUs}});
    for (const LoadEvent& event : load.events) {
        LoadJson json = {{event.share ? "set" : "submit", event.vm}, {"at_us", event.at / kUs}};
        if (event.share)
            add_share(json, *event.share);
        else
            json["job_us"] = event.job / kUs;
        add(json);
    }
    return text;
}

}  // namespace mimic::mediator::schedule

// SPDX-License-Identifier: Apache-2.0
#include "dra/agent/agent.h"

#include <algorithm>
#include <charconv>

#include "base/log.h"
#include "dra/agent/driver.h"
#include "service/http_server.h"
#include "service/metrics.h"

namespace mimic::dra {
namespace {

using service::HttpRequest;
using service::HttpResponse;

HttpResponse text_answer(int status, std::string text) {
    return {.status = status, .body = std::move(text), .content_type = "text/plain", .allow = {}};
}

HttpResponse status_answer(const Status& status) {
    return status ? text_answer(200, "ok\n") : text_answer(503, status.error().message() + "\n");
}

}  // namespace

Result<HttpAddress> parse_http_address(const std::string& text) {
    const size_t colon = text.rfind(':');
    HttpAddress out;
    uint16_t port = 0;
    const char* const end = text.data() + text.size();
    const char* const begin = colon == std::string::npos ? end : text.data() + colon + 1;
    const auto [rest, error] = std::from_chars(begin, end, port);
    if (begin == end || error != std::errc() || rest != end)
        return fail(std::errc::invalid_argument,
                    "'{}' is no address; it is \":PORT\", \"ADDRESS:PORT\" or \"[IPv6]:PORT\"",
                    text);
    out.host = text.substr(0, colon);
    out.port = port;
    if (out.host.size() >= 2 && out.host.front() == '[' && out.host.back() == ']')
        out.host = out.host.substr(1, out.host.size() - 2);
    else if (out.host.find(':') != std::string::npos)
        return fail(std::errc::invalid_argument, "the address of '{}' stands in no [brackets]",
                    text);
    return out;
}

class Agent::Impl {
public:
    explicit Impl(AgentOptions options) : options_(std::move(options)) {}

    Status start() {
        for (const auto* const facts : options_.kinds) {
            auto driver = Driver::create(*facts, options_);
            if (!driver)
                return tl::unexpected(std::move(driver).error().with_context(facts->driver));
            drivers_.push_back(std::move(*driver));
        }
        if (!options_.http) return {};
        service::HttpServer::Options http{
            .handler = [this](const HttpRequest& request) { return answer(request); },
            .refuse = [](int status, const char* /*code*/,
                         const char* sentence) { return text_answer(status, sentence); },
            // Nothing here can be changed, and nothing is secret: whoever reaches it may read it.
            .guard = [](const HttpRequest& /*head*/) { return std::nullopt; },
            .workers = 2};
        MIMIC_ASSIGN_OR_RETURN(
            http_, service::HttpServer::create_at(options_.http->host, options_.http->port,
                                                  std::move(http)));
        MIMIC_LOG("dra", kInfo, "Serving /metrics, /healthz and /readyz on port {}", http_->port());
        return {};
    }

    Status check_health() const {
        for (const auto& driver : drivers_) MIMIC_TRY(driver->check_health());
        return {};
    }

    Status check_ready() const {
        for (const auto& driver : drivers_) MIMIC_TRY(driver->check_ready());
        return {};
    }

    std::string metrics() const {
        std::vector<AgentFigures> figures;
        for (const auto& driver : drivers_) figures.push_back(driver->figures());
        service::Metrics process;
        service::add_process_metrics(process);
        return metrics_text(figures) + process.text();
    }

    uint16_t http_port() const { return http_ ? http_->port() : 0; }

private:
    HttpResponse answer(const HttpRequest& request) const {
        if (request.method != "GET" && request.method != "HEAD") {
            auto refused = text_answer(405, "only GET\n");
            refused.allow = "GET, HEAD";
            return refused;
        }
        if (request.path == "/healthz") return status_answer(check_health());
        if (request.path == "/readyz") return status_answer(check_ready());
        if (request.path == "/metrics") {
            auto out = text_answer(200, metrics());
            out.content_type = service::kMetricsContentType;
            return out;
        }
        return text_answer(404, "there are /metrics, /healthz and /readyz\n");
    }

    const AgentOptions options_;
    std::vector<std::unique_ptr<Driver>> drivers_;
    std::unique_ptr<service::HttpServer> http_;  // asks the drivers; ends before them
};

Result<std::unique_ptr<Agent>> Agent::create(AgentOptions options) {
    auto impl = std::make_unique<Impl>(std::move(options));
    MIMIC_TRY(impl->start());
    return std::unique_ptr<Agent>(new Agent(std::move(impl)));
}

Agent::Agent(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Agent::~Agent() = default;

uint16_t Agent::http_port() const {
    return impl_->http_port();
}

Status Agent::check_health() const {
    return impl_->check_health();
}

Status Agent::check_ready() const {
    return impl_->check_ready();
}

std::string Agent::metrics() const {
    return impl_->metrics();
}

}  // namespace mimic::dra

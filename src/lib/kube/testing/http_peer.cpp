// SPDX-License-Identifier: Apache-2.0
#include "kube/testing/http_peer.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <csignal>

#include "base/check.h"
#include "base/result.h"

namespace mimic::kube::testing {
namespace {

using Ssl = std::unique_ptr<SSL, decltype(&::SSL_free)>;
using Memory = std::unique_ptr<BIO, decltype(&::BIO_free)>;

Memory memory_of(const std::string& text) {
    return {::BIO_new_mem_buf(text.data(), static_cast<int>(text.size())), &::BIO_free};
}

class SocketReply final : public PeerReply {
public:
    SocketReply(int fd, SSL* ssl, const std::atomic<bool>& ending)
        : fd_(fd), ssl_(ssl), ending_(ending) {}

    bool write(std::string_view bytes) override {
        while (!bytes.empty()) {
            const long count = ssl_ != nullptr
                                   ? ::SSL_write(ssl_, bytes.data(), static_cast<int>(bytes.size()))
                                   : ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
            if (count <= 0) return false;
            bytes.remove_prefix(static_cast<size_t>(count));
        }
        return true;
    }

    bool closed() override {
        pollfd one{fd_, POLLIN | POLLRDHUP, 0};
        return ending_ || (::poll(&one, 1, 0) > 0 && one.revents != 0);
    }

    void wait_closed() override {
        pollfd one{fd_, POLLIN | POLLRDHUP, 0};
        while (!ending_ && ::poll(&one, 1, 50) <= 0) {
        }
    }

    // Up to a few kilobytes; empty at the end.
    std::string read() {
        char buffer[4096];
        const long count = ssl_ != nullptr ? ::SSL_read(ssl_, buffer, sizeof buffer)
                                           : ::recv(fd_, buffer, sizeof buffer, 0);
        return count > 0 ? std::string(buffer, static_cast<size_t>(count)) : std::string();
    }

private:
    int fd_;
    SSL* ssl_;
    const std::atomic<bool>& ending_;
};

std::string lower(std::string text) {
    std::transform(text.begin(), text.end(), text.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return text;
}

// Reads one request; false at the end. `rest` keeps what came behind it.
bool read_request(SocketReply& from, std::string& rest, PeerRequest& request) {
    size_t end = 0;
    while ((end = rest.find("\r\n\r\n")) == std::string::npos) {
        const auto more = from.read();
        if (more.empty()) return false;
        rest += more;
    }
    const std::string head = rest.substr(0, end + 2);
    rest.erase(0, end + 4);
    const auto first = head.find("\r\n");
    const auto line = head.substr(0, first);
    const auto space = line.find(' ');
    request.method = line.substr(0, space);
    request.path = line.substr(space + 1, line.rfind(' ') - space - 1);
    request.headers.clear();
    for (size_t at = first + 2; at < head.size();) {
        const auto stop = head.find("\r\n", at);
        const auto header = head.substr(at, stop - at);
        const auto colon = header.find(':');
        request.headers[lower(header.substr(0, colon))] = header.substr(
            std::min(colon + 2, header.size()));
        at = stop + 2;
    }
    const auto length = request.headers.find("content-length");
    const size_t size = length == request.headers.end() ? 0 : std::stoul(length->second);
    while (rest.size() < size) {
        const auto more = from.read();
        if (more.empty()) return false;
        rest += more;
    }
    request.body = rest.substr(0, size);
    rest.erase(0, size);
    return true;
}

}  // namespace

void PeerReply::answer(int status, std::string_view body, std::string_view headers) {
    write(
        fmt::format("HTTP/1.1 {} Whatever\r\nContent-Type: application/json\r\n{}"
                    "Content-Length: {}\r\n\r\n{}",
                    status, headers, body.size(), body));
}

struct HttpPeer::Context {
    SSL_CTX* ssl = nullptr;
    ~Context() { ::SSL_CTX_free(ssl); }
};

HttpPeer::HttpPeer(Handler handler, std::unique_ptr<Tls> tls)
    : handler_(std::move(handler)), tls_(std::move(tls)), context_(std::make_unique<Context>()) {
    // SSL_write has no MSG_NOSIGNAL.
    std::signal(SIGPIPE, SIG_IGN);
    if (tls_) {
        context_->ssl = ::SSL_CTX_new(::TLS_server_method());
        const auto certificate = memory_of(tls_->server.certificate);
        const auto key = memory_of(tls_->server.key);
        X509* const x509 = ::PEM_read_bio_X509(certificate.get(), nullptr, nullptr, nullptr);
        EVP_PKEY* const pkey = ::PEM_read_bio_PrivateKey(key.get(), nullptr, nullptr, nullptr);
        MIMIC_CHECK(::SSL_CTX_use_certificate(context_->ssl, x509) == 1);
        MIMIC_CHECK(::SSL_CTX_use_PrivateKey(context_->ssl, pkey) == 1);
        ::X509_free(x509);
        ::EVP_PKEY_free(pkey);
        if (!tls_->client_authority.empty()) {
            const auto text = memory_of(tls_->client_authority);
            X509* const authority = ::PEM_read_bio_X509(text.get(), nullptr, nullptr, nullptr);
            ::X509_STORE_add_cert(::SSL_CTX_get_cert_store(context_->ssl), authority);
            ::X509_free(authority);
            ::SSL_CTX_set_verify(context_->ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
                                 nullptr);
        }
    }
    listener_.reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto* const plain = reinterpret_cast<sockaddr*>(&address);
    socklen_t length = sizeof address;
    MIMIC_CHECK(::bind(listener_.get(), plain, length) == 0);
    MIMIC_CHECK(::listen(listener_.get(), 64) == 0);
    MIMIC_CHECK(::getsockname(listener_.get(), plain, &length) == 0);
    port_ = ntohs(address.sin_port);
    accepting_ = std::thread([this] { accept_loop(); });
}

HttpPeer::~HttpPeer() {
    ending_ = true;
    ::shutdown(listener_.get(), SHUT_RDWR);
    accepting_.join();
    drop_connections();
    // Nobody adds threads any more.
    for (auto& thread : threads_) thread.join();
}

std::string HttpPeer::address() const {
    return fmt::format("{}://127.0.0.1:{}", tls_ ? "https" : "http", port_);
}

void HttpPeer::drop_connections() {
    const std::lock_guard lock(mutex_);
    for (const int fd : open_) ::shutdown(fd, SHUT_RDWR);
}

void HttpPeer::accept_loop() {
    while (!ending_) {
        UniqueFd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
        if (!fd) continue;
        const int number = ++connections_;
        const std::lock_guard lock(mutex_);
        open_.push_back(fd.get());
        threads_.emplace_back(
            [this, number, owned = std::make_shared<UniqueFd>(std::move(fd))]() mutable {
                serve(std::move(*owned), number);
            });
    }
}

void HttpPeer::serve(UniqueFd fd, int number) {
    const Ssl ssl(context_->ssl != nullptr ? ::SSL_new(context_->ssl) : nullptr, &::SSL_free);
    bool usable = true;
    PeerRequest request;
    request.connection = number;
    if (ssl) {
        ::SSL_set_fd(ssl.get(), fd.get());
        usable = ::SSL_accept(ssl.get()) == 1;
        if (X509* const shown = usable ? ::SSL_get1_peer_certificate(ssl.get()) : nullptr) {
            char name[128] = {};
            ::X509_NAME_get_text_by_NID(::X509_get_subject_name(shown), NID_commonName, name,
                                        sizeof name);
            request.user = name;
            ::X509_free(shown);
        }
    }
    SocketReply reply(fd.get(), ssl.get(), ending_);
    std::string rest;
    while (usable && !ending_ && reply.keep && read_request(reply, rest, request))
        handler_(request, reply);
    if (ssl && usable) ::SSL_shutdown(ssl.get());
    ::ERR_clear_error();
    const std::lock_guard lock(mutex_);
    open_.erase(std::find(open_.begin(), open_.end(), fd.get()));
    fd.reset();
}

}  // namespace mimic::kube::testing

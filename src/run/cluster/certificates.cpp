// SPDX-License-Identifier: Apache-2.0
#include "cluster/certificates.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <array>
#include <memory>

#include <fmt/ranges.h>

namespace mimic::cluster {
namespace {

constexpr long kBackdate = 3600;  // a guest's clock may be behind
constexpr long kLife = 10L * 365 * 24 * 3600;
constexpr int kSerialBits = 127;

struct Free {
    void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
    void operator()(X509* certificate) const { X509_free(certificate); }
    void operator()(X509_EXTENSION* extension) const { X509_EXTENSION_free(extension); }
    void operator()(BIO* bio) const { BIO_free(bio); }
    void operator()(BIGNUM* number) const { BN_free(number); }
};
using Key = std::unique_ptr<EVP_PKEY, Free>;
using Certificate = std::unique_ptr<X509, Free>;

tl::unexpected<Error> openssl_failed(std::string_view what) {
    std::array<char, 256> text{};
    ERR_error_string_n(ERR_get_error(), text.data(), text.size());
    return fail(std::errc::io_error, "cannot {}: {}", what, text.data());
}

std::string text_of(BIO* bio) {
    char* data = nullptr;
    const long size = BIO_get_mem_data(bio, &data);
    return size > 0 ? std::string(data, static_cast<size_t>(size)) : std::string();
}

Result<std::string> key_text(EVP_PKEY* key) {
    const std::unique_ptr<BIO, Free> bio(BIO_new(BIO_s_mem()));
    // SEC 1's form: Kubernetes takes no other for the keys of service accounts.
    if (!bio || PEM_write_bio_PrivateKey_traditional(bio.get(), key, nullptr, nullptr, 0, nullptr,
                                                     nullptr) != 1)
        return openssl_failed("write a key");
    return text_of(bio.get());
}

Result<std::string> certificate_text(X509* certificate) {
    const std::unique_ptr<BIO, Free> bio(BIO_new(BIO_s_mem()));
    if (!bio || PEM_write_bio_X509(bio.get(), certificate) != 1)
        return openssl_failed("write a certificate");
    return text_of(bio.get());
}

Status add_extension(X509* certificate, X509* issuer, int nid, const std::string& value) {
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
    const std::unique_ptr<X509_EXTENSION, Free> extension(
        X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
    if (!extension || X509_add_ext(certificate, extension.get(), -1) != 1)
        return openssl_failed("add to a certificate: " + value);
    return {};
}

Status add_name(X509_NAME* name, const char* field, const std::string& value) {
    if (value.empty()) return {};
    const auto* bytes = reinterpret_cast<const unsigned char*>(value.c_str());
    if (X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8, bytes,
                                   static_cast<int>(value.size()), -1, 0) != 1)
        return openssl_failed("name a certificate");
    return {};
}

/// All but issuer, extensions and signature.
Result<Certificate> blank(const Subject& subject, EVP_PKEY* key) {
    Certificate certificate(X509_new());
    const std::unique_ptr<BIGNUM, Free> serial(BN_new());
    if (!certificate || !serial || BN_rand(serial.get(), kSerialBits, 0, 0) != 1 ||
        X509_set_version(certificate.get(), 2) != 1 ||
        BN_to_ASN1_INTEGER(serial.get(), X509_get_serialNumber(certificate.get())) == nullptr ||
        X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -kBackdate) == nullptr ||
        X509_gmtime_adj(X509_getm_notAfter(certificate.get()), kLife) == nullptr ||
        X509_set_pubkey(certificate.get(), key) != 1)
        return openssl_failed("make a certificate");
    X509_NAME* const name = X509_get_subject_name(certificate.get());
    MIMIC_TRY(add_name(name, "O", subject.organization));
    MIMIC_TRY(add_name(name, "CN", subject.name));
    return certificate;
}

Result<Identity> finish(X509* certificate, EVP_PKEY* key, EVP_PKEY* signer) {
    if (X509_sign(certificate, signer, EVP_sha256()) == 0)
        return openssl_failed("sign a certificate");
    Identity identity;
    MIMIC_ASSIGN_OR_RETURN(identity.certificate, certificate_text(certificate));
    MIMIC_ASSIGN_OR_RETURN(identity.key, key_text(key));
    return identity;
}

Result<Key> new_key() {
    Key key(EVP_EC_gen("P-256"));
    if (!key) return openssl_failed("make a key");
    return key;
}

}  // namespace

Result<Identity> make_authority(const std::string& name) {
    MIMIC_ASSIGN_OR_RETURN(const Key key, new_key());
    MIMIC_ASSIGN_OR_RETURN(const Certificate made,
                           blank({.name = name, .organization = ""}, key.get()));
    X509* const certificate = made.get();
    if (X509_set_issuer_name(certificate, X509_get_subject_name(certificate)) != 1)
        return openssl_failed("make a certificate");
    MIMIC_TRY(add_extension(certificate, certificate, NID_basic_constraints, "critical,CA:TRUE"));
    MIMIC_TRY(add_extension(certificate, certificate, NID_key_usage,
                            "critical,keyCertSign,digitalSignature"));
    MIMIC_TRY(add_extension(certificate, certificate, NID_subject_key_identifier, "hash"));
    return finish(certificate, key.get(), key.get());
}

Result<Identity> issue(const Identity& authority, const Subject& subject) {
    const std::unique_ptr<BIO, Free> ca_text(BIO_new_mem_buf(
        authority.certificate.data(), static_cast<int>(authority.certificate.size())));
    const std::unique_ptr<BIO, Free> ca_key_text(
        BIO_new_mem_buf(authority.key.data(), static_cast<int>(authority.key.size())));
    if (!ca_text || !ca_key_text) return openssl_failed("read the authority");
    const Certificate ca(PEM_read_bio_X509(ca_text.get(), nullptr, nullptr, nullptr));
    const Key ca_key(PEM_read_bio_PrivateKey(ca_key_text.get(), nullptr, nullptr, nullptr));
    if (!ca || !ca_key) return openssl_failed("read the authority");

    MIMIC_ASSIGN_OR_RETURN(const Key key, new_key());
    MIMIC_ASSIGN_OR_RETURN(const Certificate made, blank(subject, key.get()));
    X509* const certificate = made.get();
    if (X509_set_issuer_name(certificate, X509_get_subject_name(ca.get())) != 1)
        return openssl_failed("make a certificate");
    MIMIC_TRY(add_extension(certificate, ca.get(), NID_basic_constraints, "critical,CA:FALSE"));
    MIMIC_TRY(add_extension(certificate, ca.get(), NID_key_usage, "critical,digitalSignature"));
    MIMIC_TRY(add_extension(certificate, ca.get(), NID_ext_key_usage,
                            subject.hosts.empty() ? "clientAuth" : "serverAuth"));
    MIMIC_TRY(add_extension(certificate, ca.get(), NID_authority_key_identifier, "keyid"));
    if (!subject.hosts.empty())
        MIMIC_TRY(add_extension(certificate, ca.get(), NID_subject_alt_name,
                                fmt::format("{}", fmt::join(subject.hosts, ","))));
    return finish(certificate, key.get(), ca_key.get());
}

Result<std::string> make_key() {
    MIMIC_ASSIGN_OR_RETURN(const Key key, new_key());
    return key_text(key.get());
}

Result<std::string> make_token() {
    std::array<unsigned char, 32> bytes{};
    if (RAND_bytes(bytes.data(), bytes.size()) != 1) return openssl_failed("make a token");
    return fmt::format("{:02x}", fmt::join(bytes, ""));
}

}  // namespace mimic::cluster

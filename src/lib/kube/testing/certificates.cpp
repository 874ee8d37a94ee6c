// SPDX-License-Identifier: Apache-2.0
#include "kube/testing/certificates.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/check.h"

namespace mimic::kube::testing {
namespace {

using Key = std::unique_ptr<EVP_PKEY, decltype(&::EVP_PKEY_free)>;
using Certificate = std::unique_ptr<X509, decltype(&::X509_free)>;
using Memory = std::unique_ptr<BIO, decltype(&::BIO_free)>;

std::string text_of(BIO* memory) {
    char* data = nullptr;
    const long size = BIO_get_mem_data(memory, &data);
    return {data, static_cast<size_t>(size)};
}

void extend(X509* certificate, X509* issuer, int kind, const std::string& value) {
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
    X509_EXTENSION* const extension = ::X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str());
    MIMIC_CHECK(extension != nullptr);
    MIMIC_CHECK(::X509_add_ext(certificate, extension, -1) == 1);
    ::X509_EXTENSION_free(extension);
}

Certificate blank(const std::string& subject, EVP_PKEY* key, long serial) {
    Certificate made(::X509_new(), &::X509_free);
    ::X509_set_version(made.get(), 2);  // 2 means version 3
    ::ASN1_INTEGER_set(::X509_get_serialNumber(made.get()), serial);
    ::X509_gmtime_adj(::X509_getm_notBefore(made.get()), -300);
    ::X509_gmtime_adj(::X509_getm_notAfter(made.get()), 3600);
    ::X509_set_pubkey(made.get(), key);
    ::X509_NAME_add_entry_by_txt(::X509_get_subject_name(made.get()), "CN", MBSTRING_UTF8,
                                 reinterpret_cast<const unsigned char*>(subject.c_str()), -1, -1,
                                 0);
    return made;
}

KeyPair pem(X509* certificate, EVP_PKEY* key) {
    const Memory one(::BIO_new(::BIO_s_mem()), &::BIO_free);
    const Memory two(::BIO_new(::BIO_s_mem()), &::BIO_free);
    MIMIC_CHECK(::PEM_write_bio_X509(one.get(), certificate) == 1);
    MIMIC_CHECK(::PEM_write_bio_PrivateKey(two.get(), key, nullptr, nullptr, 0, nullptr, nullptr) ==
                1);
    return {text_of(one.get()), text_of(two.get())};
}

}  // namespace

struct Authority::Parts {
    Key key{EVP_EC_gen("P-256"), &::EVP_PKEY_free};
    Certificate certificate{nullptr, &::X509_free};
    long serial = 1;
};

Authority::Authority() : parts_(std::make_unique<Parts>()) {
    MIMIC_CHECK(parts_->key != nullptr);
    parts_->certificate = blank("an authority of a test", parts_->key.get(), parts_->serial++);
    X509* const own = parts_->certificate.get();
    ::X509_set_issuer_name(own, ::X509_get_subject_name(own));
    extend(own, own, NID_basic_constraints, "critical,CA:TRUE");
    extend(own, own, NID_key_usage, "critical,keyCertSign");
    MIMIC_CHECK(::X509_sign(own, parts_->key.get(), ::EVP_sha256()) != 0);
    own_ = pem(own, parts_->key.get());
}
Authority::~Authority() = default;

KeyPair Authority::issue(const std::string& subject, const std::vector<std::string>& names) {
    const Key key(EVP_EC_gen("P-256"), &::EVP_PKEY_free);
    const auto made = blank(subject, key.get(), parts_->serial++);
    X509* const issuer = parts_->certificate.get();
    ::X509_set_issuer_name(made.get(), ::X509_get_subject_name(issuer));
    std::string all;
    for (const auto& name : names) all += (all.empty() ? "" : ",") + name;
    if (!all.empty()) extend(made.get(), issuer, NID_subject_alt_name, all);
    MIMIC_CHECK(::X509_sign(made.get(), parts_->key.get(), ::EVP_sha256()) != 0);
    return pem(made.get(), key.get());
}

}  // namespace mimic::kube::testing

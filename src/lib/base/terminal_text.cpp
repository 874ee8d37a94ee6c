// SPDX-License-Identifier: Apache-2.0
// UTF-8 as in Unicode 15, table 3-7; escape sequences as in ECMA-48, chapters 5.2 to 5.6.
#include "base/terminal_text.h"

#include <cstdint>

namespace mimic {
namespace {

constexpr char kEscapeByte = 0x1b;
constexpr size_t kLongestSequence = 64;  // arbitrary; those of real programs have 20 bytes

uint8_t byte_at(std::string_view text, size_t at) {
    return at < text.size() ? static_cast<uint8_t>(text[at]) : 0;
}

// Bytes that a character has whose first one is `first`, or 0 if none begins so.
size_t size_from(uint8_t first) {
    if (first < 0x80) return 1;
    if (first < 0xc2 || first > 0xf4) return 0;
    return first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

// Bytes of the character at `at`, or 0 if there is none.
size_t character_size(std::string_view text, size_t at) {
    const uint8_t first = byte_at(text, at);
    const size_t size = size_from(first);
    for (size_t i = 1; i < size; ++i) {
        if ((byte_at(text, at + i) & 0xc0) != 0x80) return 0;
    }
    const uint8_t second = byte_at(text, at + 1);
    const bool is_long = (first == 0xe0 && second < 0xa0) || (first == 0xf0 && second < 0x90);
    const bool is_outside = (first == 0xed && second >= 0xa0) || (first == 0xf4 && second >= 0x90);
    return is_long || is_outside ? 0 : size;
}

// The number of the valid character of `size` bytes at `at`.
uint32_t code_point(std::string_view text, size_t at, size_t size) {
    if (size == 1) return byte_at(text, at);
    uint32_t value = byte_at(text, at) & (0xffu >> (size + 1));
    for (size_t i = 1; i < size; ++i) value = value << 6 | (byte_at(text, at + i) & 0x3fu);
    return value;
}

// Controls, and what has no width or turns text around: it makes a line look like another.
bool may_pass(uint32_t point) {
    const auto in = [point](uint32_t first, uint32_t last) {
        return point >= first && point <= last;
    };
    return !(in(0, 0x1f) || in(0x7f, 0x9f) || point == 0xad || point == 0x61c || point == 0x180e ||
             in(0x200b, 0x200f) || in(0x2028, 0x202e) || in(0x2060, 0x206f) || point == 0xfeff ||
             in(0xfff9, 0xfffb) || in(0xe0000, 0xe0fff));
}

bool is_between(char c, int first, int last) {
    return static_cast<uint8_t>(c) >= first && static_cast<uint8_t>(c) <= last;
}

}  // namespace

std::string terminal_text(std::string_view text, size_t limit) {
    std::string out;
    size_t count = 0;
    for (size_t at = 0; at < text.size(); ++count) {
        if (count == limit) return out + "...";
        const size_t size = character_size(text, at);
        if (size == 0 || !may_pass(code_point(text, at, size))) {
            out += '?';
        } else {
            out += text.substr(at, size);
        }
        at += size == 0 ? 1 : size;
    }
    return out;
}

std::string TerminalFilter::pass(std::string_view part) {
    std::string out;
    out.reserve(part.size());
    for (const char c : part) take(out, c);
    return out;
}

std::string TerminalFilter::finish() {
    std::string out;
    if (state_ == State::kCharacter) end_character(out);
    state_ = State::kText;
    carriage_return_ = false;
    return out;
}

// What has been gathered is a character, or bytes that are none.
void TerminalFilter::end_character(std::string& out) {
    out += terminal_text(character_, character_.size());
    character_.clear();
    state_ = State::kText;
}

void TerminalFilter::take(std::string& out, char c) {
    switch (state_) {
        case State::kText:
            return take_text(out, c);
        case State::kCharacter:
            if (!is_between(c, 0x80, 0xbf)) {
                end_character(out);
                return take_text(out, c);
            }
            character_ += c;
            if (character_.size() == wanted_) end_character(out);
            return;
        case State::kEscape:
            if (c == kEscapeByte) return;
            skipped_ = 0;
            if (c == '[') {
                state_ = State::kSequence;
                return;
            }
            state_ = State::kIntermediate;
            break;
        case State::kIntermediate:
        case State::kSequence:
            break;
    }
    // Parameters and intermediate bytes, then the one that ends it. Anything else is no sequence.
    const bool is_sequence = state_ == State::kSequence;
    if (++skipped_ <= kLongestSequence && is_between(c, 0x20, is_sequence ? 0x3f : 0x2f)) return;
    state_ = State::kText;
    if (is_between(c, is_sequence ? 0x40 : 0x30, 0x7e)) return;
    out += '?';
    take_text(out, c);
}

void TerminalFilter::take_text(std::string& out, char c) {
    if (carriage_return_ && c == '\r') return;
    if (carriage_return_ && c != '\n') out += '\n';
    carriage_return_ = c == '\r';
    if (carriage_return_) return;
    if (c == '\n' || c == '\t' || is_between(c, 0x20, 0x7e)) {
        out += c;
    } else if (c == kEscapeByte) {
        state_ = State::kEscape;
    } else if (wanted_ = size_from(static_cast<uint8_t>(c)); wanted_ > 1) {
        character_ = c;
        state_ = State::kCharacter;
    } else {
        out += '?';
    }
}

std::string terminal_lines(std::string_view text) {
    TerminalFilter filter;
    std::string out = filter.pass(text);
    return out + filter.finish();
}

}  // namespace mimic

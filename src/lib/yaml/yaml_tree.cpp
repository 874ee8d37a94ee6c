// SPDX-License-Identifier: Apache-2.0
#include "yaml/yaml_tree.h"

#include <algorithm>
#include <map>
#include <optional>
#include <sstream>
#include <unordered_set>

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

namespace mimic::yaml {
namespace {

Location location(const YAML::Mark& mark) {
    if (mark.is_null()) return {};
    return {static_cast<unsigned>(mark.line) + 1, static_cast<unsigned>(mark.column) + 1};
}

/// Builds the tree from events. After its first problem it ignores the rest. Thread-bound.
class Builder : public YAML::EventHandler {
public:
    Builder(Diagnostics& diagnostics, const Hints& hints)
        : diagnostics_(diagnostics), hints_(hints) {}

    /// The document, or nullptr if there was a problem or nothing at all.
    YamlPtr take() { return dead_ ? nullptr : std::move(root_); }

    void OnDocumentStart(const YAML::Mark& mark) override {
        if (++documents_ > 1) die(location(mark), "a second document; expected one document");
    }
    void OnDocumentEnd() override {}

    void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
        leaf(mark, anchor, YamlNode::Kind::kNull, {});
    }

    void OnScalar(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                  const std::string& value) override {
        leaf(mark, anchor, YamlNode::Kind::kScalar, value);
    }

    void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
        if (dead_) return;
        const auto found = anchors_.find(anchor);
        if (found == anchors_.end()) {
            return die(location(mark), "an alias inside the node it stands for; expected no cycle");
        }
        add(location(mark), found->second);
    }

    void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                         YAML::EmitterStyle::value) override {
        open(mark, anchor, YamlNode::Kind::kSequence);
    }
    void OnSequenceEnd() override { close(); }

    void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                    YAML::EmitterStyle::value) override {
        open(mark, anchor, YamlNode::Kind::kMap);
    }
    void OnMapEnd() override { close(); }

private:
    /// A collection that is not complete yet.
    struct Frame {
        std::shared_ptr<YamlNode> node;  // shared with the tree once complete
        YAML::anchor_t anchor = 0;
        bool has_key = false;
        std::string key;
        Location key_where;
        std::unordered_set<std::string> keys;
    };

    void die(Location where, std::string message) {
        if (!dead_) diagnostics_.add(where, std::move(message));
        dead_ = true;
    }

    void leaf(const YAML::Mark& mark, YAML::anchor_t anchor, YamlNode::Kind kind,
              const std::string& text) {
        if (dead_) return;
        auto node = std::make_shared<YamlNode>();
        node->kind = kind;
        node->where = location(mark);
        node->text = text;
        finish(std::move(node), anchor);
    }

    void open(const YAML::Mark& mark, YAML::anchor_t anchor, YamlNode::Kind kind) {
        if (dead_) return;
        if (stack_.size() >= kMaxYamlDepth) {
            return die(location(mark), fmt::format("nested deeper than {} levels", kMaxYamlDepth));
        }
        Frame frame;
        frame.node = std::make_shared<YamlNode>();
        frame.node->kind = kind;
        frame.node->where = location(mark);
        frame.anchor = anchor;
        stack_.push_back(std::move(frame));
    }

    void close() {
        if (dead_ || stack_.empty()) return;
        Frame frame = std::move(stack_.back());
        stack_.pop_back();
        finish(std::move(frame.node), frame.anchor);
    }

    void finish(YamlPtr node, YAML::anchor_t anchor) {
        if (anchor != 0) anchors_[anchor] = node;
        const Location where = node->where;
        add(where, std::move(node));
    }

    /// Puts a complete node where it belongs: the root, a list item, a key, or a value.
    void add(Location where, YamlPtr node) {
        if (stack_.empty()) {
            root_ = std::move(node);
            return;
        }
        Frame& frame = stack_.back();
        YamlNode& parent = *frame.node;
        if (parent.kind == YamlNode::Kind::kMap && !frame.has_key) {
            return take_key(frame, where, *node);
        }
        parent.expanded += node->expanded;
        parent.depth = std::max(parent.depth, node->depth + 1);
        if (parent.expanded > kMaxYamlNodes || stack_.size() + node->depth > kMaxYamlDepth) {
            return die(where, fmt::format("the document grows beyond {} nodes or {} levels when "
                                          "its aliases are expanded",
                                          kMaxYamlNodes, kMaxYamlDepth));
        }
        if (parent.kind == YamlNode::Kind::kMap) {
            parent.entries.push_back({std::move(frame.key), frame.key_where, std::move(node)});
            frame.has_key = false;
        } else {
            parent.items.push_back(std::move(node));
        }
    }

    void take_key(Frame& frame, Location where, const YamlNode& node) {
        if (node.kind != YamlNode::Kind::kScalar) {
            return die(where, fmt::format("{} as a key; expected a word", node.describe()));
        }
        if (node.text == "<<") {
            return die(where,
                       fmt::format("merge keys are not supported; expected {}", hints_.merge));
        }
        if (!frame.keys.insert(node.text).second) {
            return die(where, fmt::format("key {} is here twice", node.describe()));
        }
        frame.key = node.text;
        frame.key_where = where;
        frame.has_key = true;
    }

    Diagnostics& diagnostics_;  // of the caller of read_yaml(), which outlives this
    const Hints& hints_;        // the same
    std::vector<Frame> stack_;
    std::map<YAML::anchor_t, YamlPtr> anchors_;
    YamlPtr root_;
    unsigned documents_ = 0;
    bool dead_ = false;
};

// Where the first line is that a tab indents, of those up to `last` (from 1; 0: all). The parser's
// own words for it name neither the tab nor, always, its line.
std::optional<Location> indenting_tab(std::string_view text, unsigned last) {
    unsigned line = 1;
    for (size_t at = 0; at < text.size() && (last == 0 || line <= last); ++line) {
        const size_t end = std::min(text.find('\n', at), text.size());
        const std::string_view words = text.substr(at, end - at);
        const size_t tab = words.substr(0, words.find_first_not_of(" \t")).find('\t');
        if (tab != std::string_view::npos && words.find_first_not_of(" \t\r") != words.npos)
            return Location{line, static_cast<unsigned>(tab) + 1};
        at = end + 1;
    }
    return std::nullopt;
}

}  // namespace

const YamlEntry* YamlNode::find(std::string_view key) const {
    const auto found = std::find_if(entries.begin(), entries.end(),
                                    [&](const YamlEntry& entry) { return entry.key == key; });
    return found == entries.end() ? nullptr : &*found;
}

std::string YamlNode::describe() const {
    constexpr size_t kShown = 40;
    switch (kind) {
        case Kind::kNull:
            return "nothing";
        case Kind::kSequence:
            return "a list";
        case Kind::kMap:
            return "a mapping";
        case Kind::kScalar:
            break;
    }
    return text.size() <= kShown ? fmt::format("'{}'", text)
                                 : fmt::format("'{}...'", text.substr(0, kShown));
}

YamlPtr read_yaml(std::string_view text, Diagnostics& diagnostics, const Hints& hints) {
    if (text.size() > kMaxFileBytes) {
        diagnostics.add({}, fmt::format("the file has {} bytes; expected at most {}", text.size(),
                                        kMaxFileBytes));
        return nullptr;
    }
    if (text.find('\0') != std::string_view::npos) {
        diagnostics.add({}, "the file holds a zero byte; expected UTF-8 text");
        return nullptr;
    }
    Builder builder(diagnostics, hints);
    try {  // yaml-cpp throws; nothing leaves this function
        std::istringstream stream{std::string(text)};
        YAML::Parser parser(stream);
        if (parser.HandleNextDocument(builder)) parser.HandleNextDocument(builder);
    } catch (const YAML::Exception& error) {
        const Location where = location(error.mark);
        if (const auto tab = indenting_tab(text, where.line))
            diagnostics.add(*tab,
                            "a tab in the indentation; expected spaces: YAML indents by them "
                            "alone");
        else
            diagnostics.add(where, fmt::format("not YAML: {}", error.msg));
        return nullptr;
    } catch (const std::exception& error) {
        diagnostics.add({}, fmt::format("not YAML: {}", error.what()));
        return nullptr;
    }
    YamlPtr root = builder.take();
    if (!root && diagnostics.empty()) {
        diagnostics.add({}, fmt::format("the file is empty; expected {}", hints.content));
    }
    return root;
}

}  // namespace mimic::yaml

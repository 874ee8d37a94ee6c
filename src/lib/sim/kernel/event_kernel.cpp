// SPDX-License-Identifier: Apache-2.0
#include "sim/kernel/event_kernel.h"

namespace mimic::sim {

bool EventKernel::spread(size_t level, size_t index, SimTime limit) {
    List& list = lists_[index];
    Node* node = list.head;
    const unsigned shift = static_cast<unsigned>(level) * kDigitBits;
    const SimTime begin = (node->time >> shift) << shift;
    // take()'s caller moves time to `limit` if it gets nothing, so cursor_ never stays after now_.
    if (begin > limit) return false;
    list = {};
    emptied(level, index);
    cursor_ = begin;
    while (node != nullptr) {
        Node* const next = node->next;
        append(node);
        node = next;
    }
    return true;
}

void EventKernel::grow() {
    nodes_.push_back(std::make_unique<Node[]>(kNodesAtOnce));
    // The first node is used first.
    for (size_t i = kNodesAtOnce; i-- > 0;) {
        Node* const node = &nodes_.back()[i];
        node->number = 0;
        node->next = free_;
        free_ = node;
    }
}

void EventKernel::clear() {
    for (List& list : lists_) {
        while (list.head != nullptr) {
            Node* const node = list.head;
            list.head = node->next;
            node->act(*this, node, false);
        }
        list.tail = nullptr;
    }
    occupied_ = {};
    levels_ = 0;
    now_ = cursor_ = 0;
}

}  // namespace mimic::sim

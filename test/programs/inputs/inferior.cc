// A program for the debugger: types to read, frames to walk, a thread.
#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <regex>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

struct Shape {
    virtual ~Shape() = default;
    virtual double area() const = 0;
    std::string name;
};

struct Square : Shape {
    double side = 0;
    double area() const override { return side * side; }
};

template <typename T> struct Tree {
    T value;
    std::unique_ptr<Tree> left, right;
};

using Words = std::map<std::string, std::vector<int>>;

static int leaf(int depth, const Words &words)
{
    return depth + static_cast<int>(words.size());
}

static int descend(int depth, const Words &words)
{
    return depth == 0 ? leaf(depth, words) : descend(depth - 1, words) + 1;
}

static void all_is_set()
{
    std::fflush(stdout);
}

int main()
{
    Words words;
    std::istringstream text("one two three two one four five six five");
    std::string word;
    for (int i = 0; text >> word; i++)
        words[word].push_back(i);
    Square square;
    square.name = "square";
    square.side = 3;
    Tree<int> tree{1, std::make_unique<Tree<int>>(), nullptr};
    std::regex pattern("(t[a-z]+) (\\w+)");
    std::smatch match;
    std::string line = text.str();
    int total = std::regex_search(line, match, pattern) ? 1 : 0;
    for (int round = 0; round < 200; round++)
        total += descend(round % 30, words);
    std::thread thread([&] { total += descend(5, words); });
    thread.join();
    std::printf("total %d, area %g, %s\n", total, square.area(), match.str(2).c_str());
    all_is_set();
    return tree.value - 1;
}

-- Deterministic work for Lua: every allocation is a realloc or a free.
local state = 12345
local function draw(n)
    state = (state * 1103515245 + 12345) % 2147483648
    return state % n
end
local function checksum(text)
    local sum = 0
    for i = 1, #text do
        sum = (sum * 31 + text:byte(i)) % 4294967291
    end
    return sum
end

-- A tree of tables that is grown and pruned.
local function grow(depth)
    if depth == 0 then
        return { leaf = draw(1000) }
    end
    return { grow(depth - 1), grow(depth - 1), name = "node" .. draw(5000) }
end
local function total(node)
    return node.leaf or total(node[1]) + total(node[2])
end
for round = 1, 4 do
    print("tree", round, total(grow(15)))
end

-- Hash tables that fill and empty.
local map, size = {}, 0
for i = 1, 600000 do
    local key = "k" .. draw(40000)
    if map[key] and i % 3 == 0 then
        map[key], size = nil, size - 1
    elseif not map[key] then
        map[key], size = { i, tostring(i) }, size + 1
    end
end
print("map", size)

-- Strings of all sizes; concatenation, patterns, formats.
local parts = {}
for i = 1, 60000 do
    parts[#parts + 1] = string.format("%d:%s", i, string.rep("ab", draw(50)))
end
local text = table.concat(parts, ",")
print("text", #text, checksum(text))
local swapped, count = text:gsub("(%d+):(a)", "%2:%1")
print("gsub", count, checksum(swapped))
table.sort(parts)
print("sort", parts[1], parts[#parts], checksum(table.concat(parts)))

-- Closures and coroutines.
local sum = 0
for i = 1, 50000 do
    local co = coroutine.wrap(function(a)
        local b = coroutine.yield(a + 1)
        return a * b
    end)
    co(i)
    sum = (sum + co(2)) % 1000003
end
print("coroutines", sum)

-- Both collectors, finalizers, weak tables.
local dead = 0
local weak = setmetatable({}, { __mode = "v" })
for i = 1, 100000 do
    weak[i] = setmetatable({ i }, { __gc = function() dead = dead + 1 end })
end
collectgarbage("collect")
collectgarbage("collect")
print("finalized", dead, next(weak))
collectgarbage("generational")
for i = 1, 300000 do
    parts[i % 5000 + 1] = { i, { i } }
end
collectgarbage("incremental")
collectgarbage("collect")
print("end", #parts, select("#", table.unpack(parts, 1, 200)))

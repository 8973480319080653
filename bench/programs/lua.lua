-- Tables, strings and closures in Lua: every table and string is a malloc of its own.
local seed = 1
local function random(n)
    seed = (seed * 1103515245 + 12345) % 2147483648
    return seed // 65536 % n
end

local function tree(depth)
    if depth == 0 then
        return { leaf = random(100) }
    end
    return { tree(depth - 1), tree(depth - 1), depth = depth }
end

local function sum(node)
    if node.leaf then
        return node.leaf
    end
    return sum(node[1]) + sum(node[2]) + node.depth
end

local kept, total = {}, 0
for round = 1, 60 do
    local t = tree(12)
    total = total + sum(t)
    kept[round % 8] = t
end

local words = {}
for i = 1, 250000 do
    local key = "w" .. random(5000) .. "_" .. i % 7
    local entry = words[key]
    if entry then
        entry[#entry + 1] = i
    else
        words[key] = { i }
    end
    if i % 50000 == 0 then
        words = {}
    end
end

local parts = {}
for i = 1, 120000 do
    parts[#parts + 1] = (string.rep(string.char(97 + i % 26), 1 + i % 40):upper():sub(1, 20))
    if #parts == 2000 then
        total = total + #table.concat(parts, ",")
        parts = {}
    end
end

local counters = {}
for i = 1, 300000 do
    counters[i % 1000 + 1] = function()
        return i
    end
end
for _, counter in ipairs(counters) do
    total = total + counter()
end
print(total)

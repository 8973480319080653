# Deterministic work for ruby.
require 'digest'
require 'json'
require 'set'
require 'stringio'
require 'zlib'

$state = 12345
def draw(n)
  $state = ($state * 1103515245 + 12345) % 2147483648
  $state % n
end

# Structs, symbols, nested containers.
Item = Struct.new(:id, :name, :tags)
items = (1..100_000).map { |i| Item.new(i, 'n' * draw(60), Array.new(draw(6)) { |t| "tag#{t}" }) }
groups = items.group_by { |item| item.name.size }
puts "groups: #{groups.size} #{groups.map { |size, all| size * all.size }.sum}"
items.reject! { |item| item.id % 3 == 0 }
puts "items: #{items.size} #{items.sum { |item| item.tags.size }}"

# Strings: growth, substitution, encodings, shared substrings.
text = +''
30_000.times { |i| text << "line #{i} #{'é' * draw(9)}\n" }
puts "text: #{Digest::SHA256.hexdigest(text)} #{text.lines.map(&:size).max}"
puts "gsub: #{Digest::SHA256.hexdigest(text.gsub(/(\d)(\d)/) { $2 + $1 })}"
puts "utf16: #{text.encode('UTF-16LE').bytesize} #{text.scan(/é+/).map(&:size).sum}"

# Serialisers and compression.
data = items.first(20_000).map { |item| { 'id' => item.id, 'name' => item.name, 'tags' => item.tags } }
json = JSON.generate(data)
puts "json: #{Digest::SHA256.hexdigest(json)} #{JSON.parse(json) == data}"
puts "marshal: #{Marshal.load(Marshal.dump(items)) == items}"
packed = Zlib::Deflate.deflate(json, 9)
puts "zlib: #{packed.bytesize} #{Zlib::Inflate.inflate(packed) == json}"

# Big integers, rationals, sets, sorting.
puts "bignum: #{Digest::SHA256.hexdigest((1..3000).inject(:*).to_s)}"
puts "rational: #{(1..400).map { |i| Rational(1, i) }.sum.denominator.to_s.size}"
set = Set.new
200_000.times { set << draw(70_000) }
puts "set: #{set.size} #{set.sort.first(3)}"

# Threads and fibres.
threads = (1..8).map { |n| Thread.new { (1..30_000).map { |i| (i * n).to_s }.tally.size } }
puts "threads: #{threads.map(&:value).inspect}"
fibres = (1..2000).map { |n| Fiber.new { n.times { |i| Fiber.yield i } ; :done } }
puts "fibres: #{fibres.sum { |f| f.resume.is_a?(Integer) ? 1 : 0 }}"

# Collections, compaction, and children that collect an inherited heap.
3.times { GC.start }
GC.compact
puts "compacted: #{items.sum(&:id)}"
4.times do |n|
  reader, writer = IO.pipe
  pid = fork do
    reader.close
    items.select! { |item| item.id % (n + 2) == 0 }
    GC.start
    writer.write "child #{n}: #{items.size}"
    writer.close
  end
  writer.close
  puts reader.read
  Process.wait pid
  raise 'child failed' unless $?.success?
end

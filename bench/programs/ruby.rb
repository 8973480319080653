# Objects, strings, hashes and blocks in Ruby.
Point = Struct.new(:x, :y, :name)

seed = 1
random = lambda do |n|
  seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648
  seed / 65_536 % n
end

points = []
180_000.times do |i|
  points << Point.new(random.call(1000), random.call(1000), "point number #{i} of this run")
  points.shift(15_000) if points.size > 30_000
end

groups = points.group_by { |p| p.x / 50 }
report = groups.map do |key, members|
  [key, members.map(&:name).join(','), members.sum(&:y)]
end

total = 0
5.times do
  report.each do |_, names, sum|
    total += sum + names.split(',').map { |n| n.gsub(/\d/) { |d| (9 - d.to_i).to_s } }.uniq.size
  end
end

table = {}
150_000.times { |i| (table["k#{random.call(40_000)}"] ||= []) << i * 1.5 }
total += table.values.sum(&:size)
puts total

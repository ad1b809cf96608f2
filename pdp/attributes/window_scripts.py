"""The scripts by which behaviour is counted and assessed: each is one atomic step of the store.

Keys: ``risk:state:<type>:<id>`` is a hash of all that is known of one subject; ``risk:seen:<feature>:<type>:<id>``
holds digests of resources, by when they were last seen; ``risk:due`` holds subjects above LOW, by when they are to
be looked at again.

Fields of the state: ``c:<feature>:<bucket>`` counts of decisions; ``p:<feature>`` the highest count of this period;
``h:<feature>`` those of past periods, parted by commas; ``period`` its number; ``tainted`` whether a level was called
for in it, so that what is too much never becomes usual; ``level``, ``peak``, ``since``; ``o:v``, ``o:i`` and ``o:b``
what others said of the attribute, when and who, for as long as ours stands in its place.
"""

from __future__ import annotations

from typing import Final

from pdp.attributes.scripts import COMMON

# KEYS: the state, then one for each feature that tells resources apart. ARGV: JSON with now, period, periods, ttl and
# features: name, distinct, window, buckets, capacity, ceiling, seen (pairs of time and digest). Gives level, peak,
# since, then a count and the samples of each feature.
COUNT: Final = """
local ask, key = cjson.decode(ARGV[1]), KEYS[1]
local now, state, flat = ask.now, {}, redis.call('HGETALL', key)
for i = 1, #flat, 2 do state[flat[i]] = flat[i + 1] end
local changed, gone, place = {}, {}, 1
local function put(name, value) changed[name] = true; state[name] = value end
local function distinct(it)
  place = place + 1
  local seen = KEYS[place]
  for _, one in ipairs(it.seen) do redis.call('ZADD', seen, 'GT', string.format('%.3f', one[1]), one[2]) end
  redis.call('ZREMRANGEBYSCORE', seen, '-inf', string.format('%.3f', now - it.window))
  local size = redis.call('ZCARD', seen)
  if size > it.capacity then
    redis.call('ZREMRANGEBYRANK', seen, 0, size - it.capacity - 1)
    size = it.capacity
  end
  if #it.seen > 0 then redis.call('EXPIRE', seen, string.format('%.0f', it.window + 1)) end
  return size
end
local function counted(it)
  local width = it.window / it.buckets
  local oldest, prefix, sum = math.floor(now / width) - it.buckets, 'c:' .. it.name .. ':', 0
  for _, one in ipairs(it.seen) do
    local name = prefix .. string.format('%.0f', math.floor(one[1] / width))
    put(name, string.format('%.0f', (tonumber(state[name]) or 0) + 1))
  end
  for name, value in pairs(state) do
    if string.sub(name, 1, #prefix) == prefix then
      if tonumber(string.sub(name, #prefix + 1)) <= oldest then gone[#gone + 1] = name
      else sum = sum + tonumber(value) end
    end
  end
  return sum
end
local function learn(it)
  local sample, known = tonumber(state['p:' .. it.name]) or 0, {}
  if it.ceiling > 0 and sample > it.ceiling then sample = it.ceiling end
  for text in string.gmatch(state['h:' .. it.name] or '', '[^,]+') do known[#known + 1] = text end
  known[#known + 1] = string.format('%.0f', sample)
  while #known > ask.periods do table.remove(known, 1) end
  put('h:' .. it.name, table.concat(known, ','))
end
local period, active = math.floor(now / ask.period), false
for _, it in ipairs(ask.features) do active = active or #it.seen > 0 end
local before = tonumber(state['period'])
local fresh = active and (before == nil or before < period)
if fresh then
  for _, it in ipairs(ask.features) do
    if before ~= nil and state['tainted'] ~= '1' then learn(it) end
    put('p:' .. it.name, '0')
  end
  put('period', string.format('%.0f', period))
  put('tainted', (tonumber(state['level']) or 0) > 0 and '1' or '0')
end
local answer = {state['level'] or '0', state['peak'] or '0', state['since'] or '0'}
for _, it in ipairs(ask.features) do
  local count = it.distinct and distinct(it) or counted(it)
  if active and count > (tonumber(state['p:' .. it.name]) or 0) then
    put('p:' .. it.name, string.format('%.0f', count))
  end
  answer[#answer + 1] = string.format('%.0f', count)
  answer[#answer + 1] = state['h:' .. it.name] or ''
end
local set = {}
for name in pairs(changed) do set[#set + 1] = name; set[#set + 1] = state[name] end
if #set > 0 then redis.call('HSET', key, unpack(set)) end
if #gone > 0 then redis.call('HDEL', key, unpack(gone)) end
if active then redis.call('EXPIRE', key, ask.ttl) end
return answer
"""

# KEYS: the state, the record, the schedule. ARGV: member of the schedule; attribute; level; its value, empty at LOW;
# '1' where it is called for; level, peak and since as they were found; now; when to look again; what our provenance
# starts with; our provenance; lifetime of the state in seconds. Gives the level before and the level now, or nothing
# where somebody was faster.
ASSESS: Final = (
    COMMON
    + """
local key, record, due = KEYS[1], KEYS[2], KEYS[3]
local member, name, level, value, called = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5] == '1'
local now, again, own, by = ARGV[9], ARGV[10], ARGV[11], ARGV[12]
local state, stored = load(key), load(record)
local before = tonumber(state['level']) or 0
if called and level < before then return {} end
if not called and (before ~= tonumber(ARGV[6]) or (state['peak'] or '0') ~= ARGV[7]
    or tonumber(state['since'] or '0') ~= tonumber(ARGV[8])) then return {} end
redis.call('HSET', key, 'level', level)
if called then redis.call('HSET', key, 'peak', level, 'since', now, 'tainted', '1') end
redis.call('EXPIRE', key, ARGV[13])
if level > 0 then redis.call('ZADD', due, again, member) else redis.call('ZREM', due, member) end
if next(stored) == nil or stored['_deleted'] ~= nil then return {before, level} end
local source = stored[name .. '@by'] or ''
local ours = string.sub(source, 1, #own) == own
local theirs = {value = stored[name], issued = stored[name .. '@issued_at'], by = stored[name .. '@by']}
if ours then theirs = {value = state['o:v'], issued = state['o:i'], by = state['o:b']} end
local stands = value ~= '' and (theirs.value == nil or rank(theirs.value) < rank(value))
if stands and ours and stored[name] == value or not stands and not ours then return {before, level} end
local function keep(field, text)
  if text then redis.call('HSET', key, field, text) else redis.call('HDEL', key, field) end
end
local function write(field, text)
  if text then redis.call('HSET', record, field, text) else redis.call('HDEL', record, field) end
end
if stands then
  keep('o:v', theirs.value); keep('o:i', theirs.issued); keep('o:b', theirs.by)
  write(name, value)
  write(name .. '@issued_at', theirs.value and (theirs.issued or stored['_issued_at']) or now)
  write(name .. '@by', by)
else
  redis.call('HDEL', key, 'o:v', 'o:i', 'o:b')
  write(name, theirs.value); write(name .. '@issued_at', theirs.issued); write(name .. '@by', theirs.by)
end
redis.call('HSET', record, '_version', next_version(stored))
return {before, level}
"""
)

# KEYS: the state, then one for each feature that tells resources apart. Forgets the windows and what is left of the
# level that they led to; the level itself is assessed after it. This period is no sample of what is usual.
FORGET: Final = """
local key, gone = KEYS[1], {}
local flat = redis.call('HGETALL', key)
if #flat == 0 then return 0 end
for i = 1, #flat, 2 do
  if string.sub(flat[i], 1, 2) == 'c:' then gone[#gone + 1] = flat[i] end
end
if #gone > 0 then redis.call('HDEL', key, unpack(gone)) end
redis.call('HSET', key, 'tainted', '1', 'peak', '0', 'since', '0')
for i = 2, #KEYS do redis.call('DEL', KEYS[i]) end
return 1
"""

"""The scripts by which records change: each is one atomic step of the store.

Rules that hold for every writer:

* A version only rises; see ``pdp.attributes.writer``.
* A latch only rises. Neither a write that leaves it out nor a deletion lowers it: the tombstone keeps it.
* What a signal said of an attribute stands until something newer is said of that attribute. A write of the whole
  record that leaves the attribute out says nothing of it. Times of signals are often whole seconds: one made in the
  second of a write counts as newer than it.
* A signal neither makes a record nor revives a deleted one, and is not lost for want of a record: it is kept in a
  tombstone, for the record that may come.

Fields beside ``_version``, ``_issued_at``, ``<name>`` and ``<name>@issued_at`` (see ``pdp.core.record``):
``_deleted`` makes a tombstone: ``1`` for a deleted record, ``0`` for one that never was; ``<name>@by`` says who set
an attribute that was not set with the whole record, ``signal:<issuer> <jti>`` or ``writer:<SPIFFE id>``; ``_by`` who
wrote the whole.
"""

from __future__ import annotations

from typing import Final

# What every script of records starts with.
COMMON: Final = """
local function load(key)
  local stored, flat = {}, redis.call('HGETALL', key)
  for i = 1, #flat, 2 do stored[flat[i]] = flat[i + 1] end
  return stored
end
local function rank(text)
  if text == 'true' then return 1 elseif text == 'false' then return 0 end
  return tonumber(text) or 0
end
local function second(time) return math.floor(tonumber(time) or 0) end
local function issue_of(stored, name) return stored[name .. '@issued_at'] or stored['_issued_at'] or '0' end
local function signalled(stored, name) return string.sub(stored[name .. '@by'] or '', 1, 7) == 'signal:' end
local function next_version(stored)
  local clock = redis.call('TIME')
  local version = math.max((tonumber(stored['_version']) or 0) + 1, clock[1] * 1000000 + clock[2])
  return string.format('%.0f', version)
end
"""

# KEYS: the record. ARGV: put, create, patch or delete; time of issue; lifetime of a tombstone in seconds; who writes,
# or empty; number of latches; the latches; then names and values. Gives the version, 0 for a record that is unknown.
# A named writer's feed may be late: what it says of an attribute counts only if nothing newer is stored.
WRITE: Final = (
    COMMON
    + """
local key, mode, issued, lifetime, by, latches = KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
local stored = load(key)
local known = next(stored) ~= nil and stored['_deleted'] == nil
if not known and (mode == 'patch' or mode == 'delete') then return '0' end
local ordered = by ~= ''
local whole = mode == 'put' or mode == 'delete' or not known
local newer = second(stored['_issued_at']) > second(issued)
if ordered and newer and (mode == 'delete' or stored['_deleted'] == '1') then return stored['_version'] end
local latch, given, fields, gone = {}, {}, {}, {}
for i = 6, 5 + latches do latch[ARGV[i]] = true end
local function add(name, value) fields[#fields + 1] = name; fields[#fields + 1] = value end
local function keep(name)
  if not whole then return end
  add(name, stored[name])
  add(name .. '@issued_at', issue_of(stored, name))
  if stored[name .. '@by'] then add(name .. '@by', stored[name .. '@by']) end
end
local function outdated(name)
  if stored[name] == nil then return false end
  if signalled(stored, name) then return second(issue_of(stored, name)) >= second(issued) end
  return ordered and tonumber(issue_of(stored, name)) > tonumber(issued)
end
local function set(name, value)
  given[name] = true
  local held = latch[name] and stored[name] and rank(stored[name]) > rank(value)
  if not latch[name] and outdated(name) then return keep(name) end
  add(name, held and stored[name] or value)
  if not whole then add(name .. '@issued_at', issued) end
  local source = held and stored[name .. '@by'] or (not whole and ordered and by)
  if source then add(name .. '@by', source) else gone[#gone + 1] = name .. '@by' end
end
add('_version', next_version(stored))
if whole then add('_issued_at', issued) end
if whole and ordered then add('_by', by) end
if mode == 'delete' then add('_deleted', '1') end
for i = 6 + latches, #ARGV, 2 do set(ARGV[i], ARGV[i + 1]) end
if whole then
  for name in pairs(stored) do
    local own = string.find(name, '@', 1, true) == nil and string.sub(name, 1, 1) ~= '_'
    local stays = latch[name] or signalled(stored, name) or (ordered and mode ~= 'delete' and outdated(name))
    if own and stays and not given[name] then keep(name) end
  end
  redis.call('DEL', key)
elseif #gone > 0 then
  redis.call('HDEL', key, unpack(gone))
end
redis.call('HSET', key, unpack(fields))
if mode == 'delete' then redis.call('EXPIRE', key, lifetime) end
return fields[2]
"""
)

# KEYS: the token's mark, the record. ARGV: lifetime of the mark in seconds; of a tombstone in seconds; time of the
# event; provenance; number of guards; guards as names and values; then name, value and '1' for a latch or '0'.
# Gives what became of it, and the record's version: a token seen before, a subject that is not the one meant, and
# an event older than what is stored change nothing.
SIGNAL: Final = (
    COMMON
    + """
local mark, key = KEYS[1], KEYS[2]
local at, by, guards = ARGV[3], ARGV[4], tonumber(ARGV[5])
local function done(outcome, version)
  redis.call('SET', mark, '1', 'EX', ARGV[1])
  return {outcome, version}
end
if redis.call('EXISTS', mark) == 1 then return {'duplicate', '0'} end
if #ARGV == 5 + 2 * guards then return done('noted', '0') end
local stored = load(key)
for i = 6, 5 + 2 * guards, 2 do
  local value = stored[ARGV[i]]
  if value ~= nil and value ~= ARGV[i + 1] then return done('mismatch', '0') end
end
local known = next(stored) ~= nil and stored['_deleted'] == nil
local function after(name)
  local since = issue_of(stored, name)
  if signalled(stored, name) then return tonumber(since) > tonumber(at) end
  return second(since) > second(at)
end
local fields = {}
local function add(name, value) fields[#fields + 1] = name; fields[#fields + 1] = value end
for i = 6 + 2 * guards, #ARGV, 3 do
  local name, value, latch = ARGV[i], ARGV[i + 1], ARGV[i + 2] == '1'
  local old, due = stored[name], nil
  if latch then
    due = old == nil or rank(old) < rank(value)
  else
    due = old == nil or not after(name)
  end
  if due then
    add(name, value)
    add(name .. '@issued_at', at)
    add(name .. '@by', by)
  end
end
if #fields == 0 then return done('outdated', stored['_version'] or '0') end
local version = next_version(stored)
add('_version', version)
if next(stored) == nil then
  add('_issued_at', at)
  add('_deleted', '0')
end
redis.call('HSET', key, unpack(fields))
if not known then redis.call('EXPIRE', key, ARGV[2]) end
return done(known and 'applied' or 'kept', version)
"""
)

# KEYS: the turn. ARGV: who asks; for how many milliseconds, 0 to give it back; lifetime of the key in seconds.
# Gives the number of the term, or 0 where somebody else has the turn. Time is the store's alone. A term that ran out
# is over even for who had it: the number of the next is higher, so that nobody mistakes one for the other.
TURN: Final = """
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local held = redis.call('HMGET', KEYS[1], 'holder', 'until', 'term')
local free = not held[2] or tonumber(held[2]) <= now
if held[1] ~= ARGV[1] and (not free or ARGV[2] == '0') then return 0 end
local term = (tonumber(held[3]) or 0) + (free and 1 or 0)
redis.call('HSET', KEYS[1], 'holder', ARGV[1], 'until', string.format('%.0f', now + ARGV[2]), 'term', term)
redis.call('EXPIRE', KEYS[1], ARGV[3])
return term
"""

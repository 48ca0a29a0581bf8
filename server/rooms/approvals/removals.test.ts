import { afterAll, beforeAll, expect, it } from 'vitest'
import type { Scope } from '#server/rpc/scopes.ts'
import { createApiToken, type House, openHouse } from '#server/testing/actors.ts'
import { readEvents, streamPath } from '#server/testing/event-reader.ts'
import { serveHouse } from '#server/testing/http-house.ts'
import { tokenCredential } from '#server/testing/isolation/dataset.ts'
import { refusalOf } from '#server/testing/refusal.ts'
import { asked, createTeam, createWaitingCall } from './fixture.ts'

// Approvals whose task and organization are removed and restored, in any order.

let house: House
let server: Awaited<ReturnType<typeof serveHouse>>

beforeAll(async () => {
  house = await openHouse()
  server = await serveHouse(house.services)
})
afterAll(async () => {
  await server.close()
  await house.close()
})

async function createTaskApproval() {
  const { organizationId, owner, member } = await createTeam(house)
  const { tasks, approvals } = member.caller()
  const { id: taskId } = await tasks.create({ prompt: 'x' })
  const { id: toolCallId } = await createWaitingCall(member, taskId)
  const { id } = await approvals.request({ ...asked, toolCallId, organizationId })
  const isThere = async () => {
    const seen = [approvals, owner.caller().approvals].map(room =>
      room.get({ id }).then(
        () => true,
        async error => (await refusalOf(Promise.reject(error))).reason !== 'not_found',
      ),
    )
    const listed = (await approvals.list()).items.some(item => item.id === id)
    const all = [...(await Promise.all(seen)), listed]
    expect(new Set(all).size).toBe(1)
    return listed
  }
  return { member, organizationId, isThere, tasks, organizations: owner.caller().organizations, taskId }
}

it('an approval of a removed task stays hidden when its organization is removed and restored', async () => {
  const { tasks, organizations, organizationId, taskId, isThere } = await createTaskApproval()
  await tasks.remove({ id: taskId })
  expect(await isThere()).toBe(false)
  await organizations.remove({ organizationId })
  await organizations.restore({ organizationId })
  expect(await isThere()).toBe(false)
  await tasks.restore({ id: taskId })
  expect(await isThere()).toBe(true)
})

it('an approval of a removed organization stays hidden when its task is removed and restored', async () => {
  const { tasks, organizations, organizationId, taskId, isThere } = await createTaskApproval()
  await organizations.remove({ organizationId })
  await tasks.remove({ id: taskId })
  await tasks.restore({ id: taskId })
  expect(await isThere()).toBe(false)
  await organizations.restore({ organizationId })
  expect(await isThere()).toBe(true)
})

it('an approval whose task was removed and restored first is restored with its organization', async () => {
  const { tasks, organizations, organizationId, taskId, isThere } = await createTaskApproval()
  await tasks.remove({ id: taskId })
  await organizations.remove({ organizationId })
  await tasks.restore({ id: taskId })
  expect(await isThere()).toBe(false)
  await organizations.restore({ organizationId })
  expect(await isThere()).toBe(true)
})

it('an approval whose task was removed after its organization is restored with both', async () => {
  const { tasks, organizations, organizationId, taskId, isThere } = await createTaskApproval()
  await organizations.remove({ organizationId })
  await tasks.remove({ id: taskId })
  await organizations.restore({ organizationId })
  expect(await isThere()).toBe(false)
  await tasks.restore({ id: taskId })
  expect(await isThere()).toBe(true)
})

it('no stream has events of a removed approval', async () => {
  const { member, tasks, organizationId, taskId } = await createTaskApproval()
  await tasks.remove({ id: taskId })
  await member.caller().approvals.request({ ...asked, title: 'the next', organizationId })
  for (const acting of [{}, { organizationId }]) {
    const { authorization } = member
    const path = streamPath('approvals.stream', {})
    const reader = readEvents({ authorization, ...acting, port: server.port, path })
    const titles = () =>
      reader.events.filter(({ event }) => event === 'message').map(({ data }) => JSON.parse(data).json.title)
    await expect.poll(titles, { timeout: 5_000 }).toContain('the next')
    expect(titles()).toEqual(['the next'])
    reader.kill()
  }
})

it('an open stream keeps requiring approvals:read, and a task’s stream tasks:read', async () => {
  const { member, taskId } = await createTaskApproval()
  const refusalsOf = async (scope: Scope) => {
    const credential = tokenCredential(await createApiToken(member, { scopes: [scope] }))
    const states = await house.services.pools.system.checkStreams(
      [null, taskId].map(of => ({ credential, organizationId: null, taskId: of })),
    )
    return states.toSorted((a, b) => a.n - b.n).map(({ refusal }) => refusal)
  }
  expect(await refusalsOf('approvals:read')).toEqual([null, 'missing_scope'])
  expect(await refusalsOf('tasks:read')).toEqual(['missing_scope', null])
})

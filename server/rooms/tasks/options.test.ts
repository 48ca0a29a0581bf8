import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { scopedDatabase } from '#server/db/database.ts'
import { anonymous, createActor, type House, openHouse, WORKER_KEY } from '#server/testing/actors.ts'
import { scopeOf } from '#server/testing/scope.ts'

let house: House

beforeAll(async () => {
  house = await openHouse()
})
afterAll(() => house.close())

describe('a task with an invalid maximum duration', () => {
  it.each(['"soon"', '""', '1.5', '60.0', '0', '-1', '99999999999', '{}', '[1]', 'true'])(
    'cannot be stored with %s, so it cannot break the claims of others',
    async duration => {
      const bob = await createActor(house)
      const insert = sql`
        insert into app.tasks (title, prompt, options)
        values ('x', 'x', jsonb_build_object('maxDurationSeconds', ${duration}::jsonb))
      `.execute(scopedDatabase(house.services.pools.api, scopeOf(bob, { permission: 'session' })))
      await expect(insert).rejects.toMatchObject({ constraint: 'tasks_options_check' })

      // The claims of the operator's workers read the tasks of all users.
      const ada = await createActor(house)
      const { id } = await ada.caller().tasks.create({ prompt: 'x', options: { maxDurationSeconds: 86_400 } })
      const operator = anonymous(house, { authorization: `Bearer ${WORKER_KEY}` })
      expect((await operator.tasks.claim({ worker: 'w' }))?.task.id).toBe(id)
    },
  )
})

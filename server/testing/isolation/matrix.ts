import { expect } from 'vitest'
import type { ContextInput } from '#server/rpc/context.ts'
import { type Actor, type House, openHouse } from '../actors.ts'
import { type Answer, callProcedure, outcomeOf, procedures, withMissingIds } from './call.ts'
import { createHousehold, type Household, idsOf, marksOf } from './dataset.ts'
import type { Case, ProcedurePath } from './procedure-cases/case.ts'
import { CASES } from './procedure-cases.ts'
import { fingerprintTables, readTables, rowsMentioning } from './tables.ts'

// Every procedure of the router, called with one owner's ids by whoever must not get anywhere with them.

export type Headers = ContextInput['headers']
type Rows = Record<string, string[]>

export interface Matrix {
  readonly house: House
  readonly owner: Household
  call(path: string, input: unknown, headers: Headers): Promise<Answer>
  /** Equal to another as long as no row was written or deleted. */
  fingerprint(): Promise<Record<string, string>>
  /** The rows that mention one of these values. */
  rowsMentioning(values: readonly string[]): Promise<Rows>
  /** Calls every case, as each of those presented, and expects one outcome and not a single row to change. */
  expectRefused(path: string, presented: Headers | Headers[], outcome: string): Promise<void>
  /**
   * Calls every case as someone else may: refused like a missing row, or answered about themselves alone, and
   * about the organization that they act in. Of a colleague, only the cases in which they are nothing but a
   * stranger.
   */
  expectStrangersAnswer(
    path: string,
    caller: Pick<Actor, 'userId'>,
    headers: Headers,
    options?: { isColleague: boolean },
  ): Promise<void>
  close(): Promise<void>
}

/** What needs a credential. */
export const paths = procedures.flatMap(({ path, permission }) => (permission === 'none' ? [] : [path]))

/** What everyone is answered. */
export const publicPaths = procedures.flatMap(({ path, permission }) => (permission === 'none' ? [path] : []))

export function casesOf(path: string): readonly Case[] {
  return CASES[path as ProcedurePath]
}

export function definitionOf(path: string): (typeof procedures)[number] {
  const definition = procedures.find(procedure => procedure.path === path)
  if (!definition) throw new Error(`there is no procedure "${path}"`)
  return definition
}

export function bearer({ authorization }: { authorization: string }): Headers {
  return { authorization }
}

export async function openMatrix(): Promise<Matrix> {
  const house = await openHouse()
  // The process announces the places that it holds in its own time: one that a case gave back goes a moment
  // later.
  const tables = (await readTables(house.owner)).filter(({ name }) => name !== 'app.held_places')
  const owner = await createHousehold(house, 'Owner')

  const fingerprint = () => fingerprintTables(house.owner, tables)
  const mentioning = (values: readonly string[]) => rowsMentioning(house.owner, tables, values)
  const call = (path: string, input: unknown, headers: Headers) =>
    callProcedure(house.services, { path, input, headers })

  /**
   * The owner's rows, and not those in which the caller is mentioned as a member of the owner's organization.
   */
  async function ownersRows(caller: string): Promise<Rows> {
    const rows = await mentioning(marksOf(owner))
    return Object.fromEntries(
      Object.entries(rows).map(([name, all]) => [name, all.filter(row => !row.includes(caller))]),
    )
  }

  return {
    house,
    owner,
    call,
    fingerprint,
    rowsMentioning: mentioning,
    async expectRefused(path, presented, outcome) {
      const before = await fingerprint()
      for (const { input } of casesOf(path)) {
        for (const headers of [presented].flat()) {
          const answer = await call(path, input(owner), headers)
          expect(outcomeOf(answer)).toBe(outcome)
          expect(answer).toEqual(await call(path, withMissingIds(input(owner), idsOf(owner)), headers))
        }
      }
      expect(await fingerprint()).toEqual(before)
    },
    async expectStrangersAnswer(path, caller, headers, { isColleague } = { isColleague: false }) {
      const hidden = marksOf(owner).filter(mark => mark !== headers['x-organization-id'])
      for (const { input, stranger, colleague } of casesOf(path)) {
        if (isColleague && colleague) continue
        const isOwn = stranger === 'own' || stranger === 'their organization’s'
        const before = isOwn ? await ownersRows(caller.userId) : await fingerprint()
        const answer = await call(path, input(owner), headers)
        if (isOwn) {
          const acting = JSON.parse((await call('account.me', undefined, headers)).body).json?.organization
          const isAnswered = stranger === 'own' || acting
          expect(outcomeOf(answer)).toBe(isAnswered ? 'OK' : 'FORBIDDEN not_a_member')
          for (const mark of hidden) expect(answer.body).not.toContain(mark)
          expect(await ownersRows(caller.userId)).toEqual(before)
        } else {
          expect(outcomeOf(answer)).toBe(stranger)
          expect(answer).toEqual(await call(path, withMissingIds(input(owner), idsOf(owner)), headers))
          expect(await fingerprint()).toEqual(before)
        }
      }
    },
    close: () => house.close(),
  }
}

// The seed's content as plain data, and the calls that create it as its creator.

import type { Services } from '#server/app/services.ts'
import type { CreateContent } from '#server/rooms/content/schema.ts'
import type { ContentStatus } from '#server/rooms/content/state.ts'
import { createCaller } from '#server/rpc/caller.ts'
import { ADA, type DemoUser, GRACE } from './demo.ts'
import type { Person } from './front-door.ts'

export interface DemoContent extends Pick<CreateContent, 'description' | 'body' | 'tags'> {
  readonly owner: DemoUser
  readonly title: string
  readonly state: ContentStatus
  /** True if it belongs to the organization. */
  readonly isShared?: boolean
}

export const CONTENT: readonly DemoContent[] = [
  {
    owner: ADA,
    title: 'Notes on the Analytical Engine',
    state: 'published',
    description: 'What a machine that weaves algebraical patterns can do, and what it can not.',
    body: 'The engine has no pretensions whatever to originate anything. It can do whatever we know how to order it to perform.',
    tags: ['history', 'engines'],
  },
  {
    owner: ADA,
    title: 'How we compute Bernoulli numbers',
    state: 'published',
    isShared: true,
    description: 'The whole program, card by card.',
    body: 'Twenty-five operations, thirteen of them in a loop. The sign of the first number is a matter of taste; ours is plus.',
    tags: ['engines', 'programs'],
  },
  {
    owner: ADA,
    title: 'Poetical science',
    state: 'draft',
    body: 'To be written on a rainy day.',
  },
  {
    owner: GRACE,
    title: 'The moth in relay 70',
    state: 'published',
    isShared: true,
    description: 'First actual case of bug being found.',
    body: 'Panel F, 15:45. It is taped into the log book.',
    tags: ['programs'],
  },
  {
    owner: GRACE,
    title: 'Nanoseconds to hand out',
    state: 'archived',
    body: 'A piece of wire, 11.8 inches long.',
    tags: ['history'],
  },
]

/** Creates the owner's missing content; returns for each piece whether it is new. */
export async function makeContent(
  services: Services,
  owner: Person,
  organizationId: string,
): Promise<{ title: string; owner: string; state: ContentStatus; isNew: boolean }[]> {
  const { content } = createCaller(services, { headers: { authorization: `Bearer ${owner.token}` } })
  const { items } = await content.list({ deleted: 'include', limit: 100 })
  const existing = new Set(items.filter(item => item.creator.id === owner.id).map(item => item.title))
  const made = []
  for (const { owner: writer, title, state, isShared, ...text } of CONTENT) {
    if (writer.email !== owner.email) continue
    const isNew = !existing.has(title)
    if (isNew) {
      const shared = isShared ? { organizationId } : {}
      const { id } = await content.create({ title, contentType: 'written', ...text, ...shared })
      if (state === 'published') await content.publish({ id })
      if (state === 'archived') await content.archive({ id })
    }
    made.push({ title, owner: owner.email, state, isNew })
  }
  return made
}

import { headers } from 'next/headers'
import Link from 'next/link'
import { redirect } from 'next/navigation'
import { Suspense } from 'react'
import { createCaller, reasonOf } from 'rowhouse/next'

export default function Page() {
  return (
    <Suspense fallback={<p>Loading…</p>}>
      <Tasks />
    </Suspense>
  )
}

async function Tasks() {
  const caller = createCaller(await headers())
  const { items } = await caller.tasks.list().catch(error => {
    if (reasonOf(error) === 'unauthenticated') redirect('/sign-in')
    throw error
  })
  return items.map(task => (
    <p key={task.id}>
      <Link href={`/tasks/${task.id}`}>{task.title}</Link>
    </p>
  ))
}

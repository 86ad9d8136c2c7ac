//! Becoming the user and the group that the workers of a process are to run as.
//!
//! All their sockets are there by then, which is what root was for. The system gives each thread rights of its own, so it is
//! done where there is one thread.

use std::fs;
use std::io;

use rustix::process::{Gid, Uid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use super::logger;
use crate::error::{Error, Result};
use crate::worker::{Which, account};

/// Becomes whom the workers that run here want, if they want anybody.
pub(super) fn change() -> Result<()> {
    let wanted = |which: Which| which.part(|part| (part.user.clone(), part.group.clone()));
    let Some((user, group)) = Which::present().into_iter().find_map(wanted) else { return Ok(()) };
    if user.is_empty() && group.is_empty() {
        return Ok(());
    }
    let failed = |source| Error::Account { account: format!("{user}:{group}").into(), source };
    change_to(&user, &group).map_err(|error| failed(error).into())
}

fn change_to(user: &str, group: &str) -> io::Result<()> {
    let uid = account::user(user)?;
    let gid = match account::group(group)? {
        Some(gid) => Some(gid),
        None => uid.and_then(|uid| primary_group(&read("/etc/passwd"), uid)),
    };
    let is_already = uid.is_none_or(|uid| uid == rustix::process::geteuid().as_raw())
        && gid.is_none_or(|gid| gid == rustix::process::getegid().as_raw());
    if is_already {
        return Ok(());
    }
    if fs::read_dir("/proc/self/task")?.count() > 1 {
        return Err(io::Error::other(
            "threads run already, and would keep the rights of the one who has started the app",
        ));
    }
    let (uid, gid) = (uid.map(Uid::from_raw), gid.map(Gid::from_raw));
    if rustix::process::geteuid().is_root() {
        logger::give_to(uid, gid);
    }
    if let Some(gid) = gid {
        let others = groups_of(&read("/etc/group"), &name_of(&read("/etc/passwd"), user));
        let groups: Vec<Gid> = others.into_iter().map(Gid::from_raw).chain([gid]).collect();
        set_thread_groups(&groups)?;
        set_thread_res_gid(gid, gid, gid)?;
    }
    if let Some(uid) = uid {
        set_thread_res_uid(uid, uid, uid)?;
    }
    Ok(())
}

fn read(path: &str) -> String {
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

/// The fourth field of the user's line.
fn primary_group(users: &str, uid: u32) -> Option<u32> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':').skip(2);
        (fields.next()?.parse() == Ok(uid)).then(|| fields.next()?.parse().ok()).flatten()
    })
}

/// The name of a user who may be given as a number.
fn name_of(users: &str, user: &str) -> String {
    let by_number = users.lines().find(|line| line.split(':').nth(2) == Some(user));
    by_number.and_then(|line| line.split(':').next()).unwrap_or(user).to_owned()
}

/// The groups that name the user among their members.
fn groups_of(groups: &str, user: &str) -> Vec<u32> {
    let number = |line: &str| {
        let mut fields = line.split(':').skip(2);
        let number = fields.next()?.parse().ok()?;
        fields.next()?.split(',').any(|member| member == user && !user.is_empty()).then_some(number)
    };
    groups.lines().filter_map(number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const USERS: &str = "root:x:0:0::/root:/bin/sh\nwww-data:x:33:34:www:/var/www:/bin/false\nbroken:x\n";

    #[test]
    fn a_user_brings_his_groups() {
        assert_eq!(
            [primary_group(USERS, 33), primary_group(USERS, 0), primary_group(USERS, 5)],
            [Some(34), Some(0), None]
        );
        assert_eq!(
            [name_of(USERS, "33"), name_of(USERS, "www-data"), name_of(USERS, "5")],
            ["www-data", "www-data", "5"]
        );
        let groups = "root:x:0:\nssl:x:7:www-data,root\nnone:x:8:\nwww:x:9:xwww-data\nlogs:x:10:a,www-data\nbroken\n";
        assert_eq!((groups_of(groups, "www-data"), groups_of(groups, "")), (vec![7, 10], vec![]));
    }

    #[test]
    fn who_is_there_already_need_not_change() {
        change_to("", "").expect("nothing is wanted");
        change_to(&rustix::process::geteuid().as_raw().to_string(), "").expect("it is us");
    }

    #[test]
    fn a_test_has_threads_so_it_is_refused() {
        let error = change_to("54321", "54321").expect_err("nobody of that number").to_string();
        assert!(error.starts_with("threads run already"), "{error}");
        assert!(change_to("nobody of that name", "").is_err());
    }
}

//! What can be asked for, and what is refused.

use super::*;

#[test]
fn list_shows_scenarios_shapes_and_bugs() {
    let said = squall("list");
    assert_eq!(said.exit, Exit::Survived);
    assert_has(
        &said.out,
        &[
            "bank",
            "two tellers",
            "in-a-hurry",
            "(need not survive)",
            "oversells",
            "forgets",
        ],
    );
}

#[test]
fn bad_usage_exits_with_two_says_what_would_be_right_and_prints_no_result() {
    let cases: &[(&str, &[&str])] = &[
        (
            "run bnak",
            &["no scenario 'bnak' (did you mean 'bank'?)", "bank, shop"],
        ),
        (
            "replay casino --seed 1",
            &["no scenario 'casino'; there are: bank, shop"],
        ),
        (
            "run bank shop --shape documented",
            &["shop has no shape 'documented'", "hardened, in-a-hurry"],
        ),
        (
            "run bank --plant forget",
            &["bank has no bug 'forget' (did you mean 'forgets'?)"],
        ),
        (
            "run --plant forget",
            &["no scenario has the bug 'forget' (did you mean 'forgets'?)"],
        ),
        (
            "run --plant oversells --shape documented",
            &["no scenario has the shape 'documented' and the bug 'oversells'"],
        ),
        ("run --seeds 0", &["'0' holds no seed", "200..300"]),
        ("run --seeds -5", &["'-5' is not a count or range"]),
        ("run --seeds 9..3", &["'9..3' holds no seed"]),
        ("run --seeds 5..5", &["'5..5' holds no seed"]),
        ("run --seeds 1..2..3", &["is not a count or range"]),
        (
            "run --seeds 18446744073709551616",
            &["is not a count or range"],
        ),
        ("run --jobs 0", &["'0' is not a whole number in 1..=1024"]),
        ("run --jobs -1", &["'-1' is not a whole number in 1..=1024"]),
        (
            "run --jobs all",
            &["'all' is not a whole number in 1..=1024"],
        ),
        ("run --max-runs -1", &["'-1' is not a whole number"]),
        ("sweep bank --pairs -1", &["'-1' is not a whole number"]),
        (
            "sweep bank --pairs 4294967296",
            &["is not a whole number in 0..=4294967295"],
        ),
        (
            "sweep bank --seed 3 --seeds 4",
            &["--seed <S>", "cannot be used with"],
        ),
        ("fuzz --runs 0", &["'0' is not a whole number in 1..="]),
        ("fuzz --runs -1", &["'-1' is not a whole number in 1..="]),
        ("fuzz --for 0", &["'0' is not a duration", "30m"]),
        ("fuzz --for -3s", &["'-3s' is not a duration"]),
        ("fuzz --shard 3/2", &["'3/2' is not a shard", "0/4"]),
        ("fuzz --shard 0/0", &["'0/0' is not a shard"]),
        ("fuzz --shard -1/2", &["'-1/2' is not a shard"]),
        ("fuzz --from -1", &["'-1' is not a seed"]),
        (
            "fuzz bank --out /dev/null --runs 1",
            &["cannot use /dev/null", "name a place"],
        ),
        ("bugs --cut-off 0", &["'0' is not a whole number in 1..="]),
        (
            "bugs --campaign-seeds -5",
            &["'-5' is not a whole number in 1..=1000"],
        ),
        ("bugs --strategies swam", &["there are: random, swarm"]),
        (
            "merge /no/such/directory",
            &["cannot use /no/such/directory", "name a place"],
        ),
        ("merge", &["<DIR>"]),
        ("list everything", &["unexpected argument"]),
        ("run --format yaml", &["text", "json"]),
        ("run --budget soon", &["'soon' is no time", "10s"]),
        ("run --no-shrink --max-runs 5", &["cannot be used with"]),
        (
            "replay bank --seed 1 --explore guided",
            &[
                "a seed alone is no storm of a guided campaign",
                "printed with the failure",
            ],
        ),
        (
            "replay bank --seed 1 --at noon",
            &["'noon' is not an instant", "250ms"],
        ),
        ("replay bank --seed 1 --at -1", &["'-1' is not an instant"]),
        (
            "replay /no/such/failure.json",
            &["cannot read the failure /no/such/failure.json"],
        ),
        ("shrink /no/such/failure.json", &["cannot read the failure"]),
        ("shrink", &["FILE"]),
        ("replay bank --seed x", &["'x' is not a seed", "in decimal"]),
        ("replay bank --seed -1", &["'-1' is not a seed"]),
        ("replay bank", &["--seed"]),
        ("dance", &["unrecognized subcommand 'dance'"]),
        (
            "run bank --plan /no/such/file.json",
            &["cannot read the plan /no/such/file.json"],
        ),
        ("run bank --plan /", &["cannot read the plan /"]),
        ("shrink /", &["cannot read the failure /"]),
        (
            "run bank --seeds 5 --explore guided --corpus /dev/null",
            &["/dev/null of the corpus", "choose a directory"],
        ),
    ];
    for (line, parts) in cases {
        let said = squall(line);
        assert_eq!(said.exit, Exit::Usage, "{line}\n{}", said.err);
        assert_eq!(said.out, "", "{line}");
        assert_has(&said.err, parts);
    }
}

#[test]
fn plans_that_cannot_be_used_exit_with_two() {
    let file = std::env::temp_dir().join(format!("squall-plan-{}.json", std::process::id()));
    let crash = |node: &str| {
        format!(
            r#"{{"version":1,"faults":[{{"when":{{"at-ms":5}},"action":{{"do":"restart","node":"{node}"}}}}]}}"#
        )
    };
    let fault = |action: &str| {
        format!(r#"{{"version":1,"faults":[{{"when":{{"at-ms":5}},"action":{action}}}]}}"#)
    };
    let custom = r#"{"do":"custom","name":"fog","node":"vault","amount":1,"for_ms":5}"#;
    let cut = r#"{"do":"cut","from":"vault","to":"vault","both":true,"for_ms":5}"#;
    let cases = [
        ("{".to_owned(), "is not a plan"),
        ("null".to_owned(), "it has no \"version\""),
        (
            fault(r#"{"do":"explode","node":"vault"}"#),
            "unknown variant `explode`",
        ),
        (
            fault(custom),
            "cannot happen here: the scenario brings no faults of its own",
        ),
        (
            fault(cut),
            "cannot happen here: a link has two different ends",
        ),
        (r#"{"faults":[]}"#.to_owned(), "it has no \"version\""),
        (
            r#"{"version":2,"faults":[]}"#.to_owned(),
            "a plan of version 2; this build reads version 1",
        ),
        (
            r#"{"version":1,"faults":[{"when":"now"}]}"#.to_owned(),
            "is not a plan",
        ),
        (
            crash("cellar"),
            "bank: the plan's fault 0 (at 0.005 s: cellar is restarted) cannot happen here: there is no node \"cellar\"; there are vault, teller",
        ),
    ];
    for (text, part) in cases {
        std::fs::write(&file, text).unwrap();
        let said = squall(&format!("replay bank --seed 1 --plan {}", file.display()));
        assert_eq!(said.exit, Exit::Usage, "{part}");
        assert_has(&said.err, &[part]);
    }
    std::fs::write(&file, crash("vault")).unwrap();
    let said = squall(&format!(
        "run bank --seeds 10..12 --plant forgets --no-shrink --plan {}",
        file.display()
    ));
    assert_eq!(said.exit, Exit::Failed, "{}", said.err);
    assert_has(
        &said.out,
        &[
            "at 0.005 s: vault is restarted",
            &format!("--trace --plan {}\n", file.display()),
        ],
    );
    std::fs::remove_file(&file).unwrap();
}

#[test]
fn a_corpus_that_cannot_be_used_is_bad_usage() {
    let dir = std::env::temp_dir().join(format!("squall-corpus-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("bank-1.json"), "{}").unwrap();
    let dir = dir.display();
    let damaged = squall(&format!(
        "run bank --explore guided --seeds 5 --corpus {dir}"
    ));
    assert_eq!(damaged.exit, Exit::Usage);
    assert_has(&damaged.err, &["bank-1.json is not a storm of a corpus"]);
    let unguided = squall(&format!("run bank --seeds 5 --corpus {dir}"));
    assert_eq!(unguided.exit, Exit::Usage);
    assert!(
        unguided.err.contains("--explore guided"),
        "{}",
        unguided.err
    );
}

#[test]
fn help_goes_to_stdout_with_examples_that_name_real_scenarios() {
    for line in ["--help", "run --help", "replay --help"] {
        let said = squall(line);
        assert_eq!((said.exit, said.err.as_str()), (Exit::Survived, ""));
        assert_has(&said.out, &["Examples:", "bank", "Exit codes:"]);
    }
    let shrink = squall("shrink --help").out;
    assert_has(
        &shrink,
        &["Examples:", "failures/FAILURE.json --budget", "Exit codes:"],
    );
    assert_has(
        &squall("replay --help").out,
        &["git bisect run", "exit 125"],
    );
}

#[test]
fn a_reader_that_has_gone_changes_neither_the_exit_code_nor_stderr() {
    let line = |to: io::ErrorKind| {
        let err = Pipe::default();
        let exit = Session {
            catalogue: &catalogue(),
            extra: &[],
            runner: &fake::run,
            out: Output::new(Box::new(Broken(to))),
            err: Output::new(Box::new(err.clone())),
            style: Style::PLAIN,
            bars: false,
            failures: failures(),
            step: None,
        }
        .serve(
            [
                "squall", "run", "bank", "--plant", "forgets", "--seeds", "20",
            ]
            .map(OsString::from),
        );
        (exit, err.text())
    };
    let (exit, err) = line(io::ErrorKind::BrokenPipe);
    assert_eq!(exit, Exit::Failed);
    assert!(!err.contains("error"), "{err}");
    let (exit, err) = line(io::ErrorKind::StorageFull);
    assert_eq!(exit, Exit::Failed);
    assert_has(&err, &["error: cannot write the result"]);
}

#[test]
fn a_command_that_the_program_brings_stands_beside_the_others() {
    let count = clap::Arg::new("count").value_parser(clap::value_parser!(u64));
    let greet = ExtraCommand {
        command: clap::Command::new("greet").about("Say hello").arg(count),
        run: Box::new(|args, out| match args.get_one::<u64>("count") {
            Some(0) => Err(ExtraCommandError::Usage("greet somebody".to_owned())),
            Some(13) => Err(ExtraCommandError::Failed("nobody came".to_owned())),
            count => Ok(writeln!(out, "hello {count:?}")?),
        }),
    };
    let greet = [greet];
    let said = |line| squall_bringing(&catalogue(), &greet, &fake::run, line);
    let help = said("--help");
    assert_has(&help.out, &["  greet ", "Say hello", "  run "]);
    let hello = said("greet 3");
    assert_eq!(
        (hello.exit, &*hello.out),
        (Exit::Survived, "hello Some(3)\n")
    );
    assert_eq!(said("greet x").exit, Exit::Usage);
    let (usage, failed) = (said("greet 0"), said("greet 13"));
    assert_eq!(
        (usage.exit, &*usage.err),
        (Exit::Usage, "error: greet somebody\n")
    );
    assert_eq!(
        (failed.exit, &*failed.err),
        (Exit::Failed, "error: nobody came\n")
    );
    assert_eq!(
        said("list").exit,
        Exit::Survived,
        "the others are still there"
    );
}
